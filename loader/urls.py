"""Where the loader's pages are."""

from django.urls import path

from loader import acts, detail, feed_page, views

app_name = "loader"
urlpatterns = [
    path("feeds/", views.FeedList.as_view(), name="feeds"),
    path("feeds/<slug:name>/", feed_page.FeedPage.as_view(), name="feed"),
    path("feeds/<slug:name>/test/", feed_page.FeedTest.as_view(), name="test"),
    path("feeds/<slug:name>/pause/", acts.Pause.as_view(), name="pause"),
    path("feeds/<slug:name>/resume/", acts.Resume.as_view(), name="resume"),
    path("feeds/<slug:name>/load/", acts.LoadNow.as_view(), name="load"),
    path("feeds/<slug:name>/reconcile/", acts.Reconcile.as_view(), name="reconcile"),
    path("feeds/<slug:name>/retry/", acts.Retry.as_view(), name="retry"),
    path("feeds/<slug:name>/acknowledge/", acts.Acknowledge.as_view(), name="acknowledge"),
    path("files/", views.FileList.as_view(), name="files"),
    path("files/<int:pk>/", detail.FilePage.as_view(), name="file"),
    path("files/<int:pk>/again/", acts.TryAgain.as_view(), name="again"),
    path("files/<int:pk>/accept/", acts.Accept.as_view(), name="accept"),
    path("differences/", views.FindingList.as_view(), name="findings"),
    path("loads/", views.LoadList.as_view(), name="loads"),
    path("attempts/", views.AttemptList.as_view(), name="attempts"),
    path("attempts/<int:pk>/", detail.AttemptPage.as_view(), name="attempt"),
]
