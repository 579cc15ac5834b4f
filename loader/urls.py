"""Where the loader's pages are."""

from django.urls import path

from loader.views import actions, details, feed, lists, twins

app_name = "loader"
urlpatterns = [
    path("feeds/", lists.FeedListView.as_view(), name="feeds"),
    path("feeds/<slug:name>/", feed.FeedDetailView.as_view(), name="feed"),
    path("feeds/<slug:name>/test/", feed.FeedTestView.as_view(), name="test"),
    path("feeds/<slug:name>/pause/", actions.PauseView.as_view(), name="pause"),
    path("feeds/<slug:name>/resume/", actions.ResumeView.as_view(), name="resume"),
    path("feeds/<slug:name>/load/", actions.LoadNowView.as_view(), name="load"),
    path("feeds/<slug:name>/reconcile/", actions.ReconcileView.as_view(), name="reconcile"),
    path("feeds/<slug:name>/retry/", actions.RetryView.as_view(), name="retry"),
    path("feeds/<slug:name>/acknowledge/", actions.AcknowledgeView.as_view(), name="acknowledge"),
    path("files/", lists.ObjectListView.as_view(), name="files"),
    path("files/<int:pk>/", details.FileDetailView.as_view(), name="file"),
    path("files/<int:pk>/again/", actions.TryAgainView.as_view(), name="again"),
    path("files/<int:pk>/accept/", actions.AcceptView.as_view(), name="accept"),
    path("differences/", lists.FindingListView.as_view(), name="findings"),
    path("twins/", twins.TwinListView.as_view(), name="twins"),
    path("twins/compare/", twins.CompareServersView.as_view(), name="compare"),
    path("loads/", lists.BatchLoadListView.as_view(), name="loads"),
    path("attempts/", lists.AttemptListView.as_view(), name="attempts"),
    path("attempts/<int:pk>/", details.AttemptDetailView.as_view(), name="attempt"),
]
