"""Where the batches' pages are."""

from django.urls import path, re_path

from batches.views import actions, batches, downloads

ONE = "batches/<slug:bid>/"

app_name = "batches"
urlpatterns = [
    path("batches/", batches.BatchListView.as_view(), name="batches"),
    path(ONE, batches.BatchDetailView.as_view(), name="batch"),
    path(ONE + "report/", downloads.IngestReportView.as_view(), name="report"),
    re_path(
        r"^batches/(?P<bid>[A-Za-z0-9]+)/(?P<name>cleared_[0-9TZ]+\.csv)$",
        downloads.ClearedCsvView.as_view(),
        name="cleared",
    ),
    path(ONE + "check/", actions.CheckNowView.as_view(), name="check"),
    path(ONE + "rollback-ingest/", actions.RollbackIngestView.as_view(), name="rollback_ingest"),
    path(ONE + "rollback-upload/", actions.RollbackUploadView.as_view(), name="rollback_upload"),
    path(ONE + "clear/", actions.ClearView.as_view(), name="clear"),
    path(ONE + "archive/", actions.ArchiveView.as_view(), name="archive"),
    path(ONE + "unarchive/", actions.UnarchiveView.as_view(), name="unarchive"),
]
