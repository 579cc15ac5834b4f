"""Where the batches' pages are."""

from django.urls import path, re_path

from batches import acts, downloads, views

ONE = "batches/<slug:bid>/"

app_name = "batches"
urlpatterns = [
    path("batches/", views.BatchList.as_view(), name="batches"),
    path(ONE, views.BatchPage.as_view(), name="batch"),
    path(ONE + "report/", downloads.Report.as_view(), name="report"),
    re_path(
        r"^batches/(?P<bid>[A-Za-z0-9]+)/(?P<name>cleared_[0-9TZ]+\.csv)$", downloads.Cleared.as_view(), name="cleared"
    ),
    path(ONE + "check/", acts.Check.as_view(), name="check"),
    path(ONE + "rollback-ingest/", acts.RollbackIngest.as_view(), name="rollback_ingest"),
    path(ONE + "rollback-upload/", acts.RollbackUpload.as_view(), name="rollback_upload"),
    path(ONE + "clear/", acts.Clear.as_view(), name="clear"),
    path(ONE + "archive/", acts.Archive.as_view(), name="archive"),
    path(ONE + "unarchive/", acts.Unarchive.as_view(), name="unarchive"),
]
