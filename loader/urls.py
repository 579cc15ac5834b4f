"""Where the loader's pages are."""

from django.urls import path

from loader import views

app_name = "loader"
urlpatterns = [
    path("feeds/", views.FeedList.as_view(), name="feeds"),
    path("attempts/", views.AttemptList.as_view(), name="attempts"),
]
