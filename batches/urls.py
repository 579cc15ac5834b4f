"""URLs of the batches' pages."""

from django.urls import path, re_path

from batches.views import actions, advice, batches, downloads, rates, records, summary

BATCH = "batches/<slug:bid>/"

app_name = "batches"
urlpatterns = [
    path("batches/", batches.BatchListView.as_view(), name="batches"),
    # No batch id has seven letters.
    path("batches/summary/", summary.SummaryView.as_view(), name="summaries"),
    path("ingest/rates/", rates.RateListView.as_view(), name="rates"),
    path("ingest/advice/", advice.AdviceView.as_view(), name="advice"),
    path(BATCH, batches.BatchDetailView.as_view(), name="batch"),
    path(BATCH + "report/", downloads.IngestReportView.as_view(), name="report"),
    path(BATCH + "summary/", summary.BatchSummaryView.as_view(), name="summary"),
    path(BATCH + "replay/", advice.ReplayView.as_view(), name="replay"),
    path(BATCH + "corrections/", downloads.CorrectionsView.as_view(), name="corrections"),
    path(BATCH + "records/<int:row>/", records.RecordView.as_view(), name="record"),
    re_path(
        r"^batches/(?P<bid>[A-Za-z0-9]+)/(?P<name>cleared_[0-9TZ]+\.csv)$",
        downloads.ClearedCsvView.as_view(),
        name="cleared",
    ),
    path(BATCH + "check/", actions.CheckNowView.as_view(), name="check"),
    path(BATCH + "queue/", actions.QueueUploadView.as_view(), name="queue"),
    path(BATCH + "unqueue/", actions.UnqueueView.as_view(), name="unqueue"),
    path(BATCH + "resume-queue/", actions.ResumeQueueView.as_view(), name="resume_queue"),
    path(BATCH + "rollback-ingest/", actions.RollbackIngestView.as_view(), name="rollback_ingest"),
    path(BATCH + "rollback-upload/", actions.RollbackUploadView.as_view(), name="rollback_upload"),
    path(BATCH + "clear/", actions.ClearView.as_view(), name="clear"),
    path(BATCH + "clear-retried/", actions.ClearRetriedView.as_view(), name="clear_retried"),
    path(BATCH + "tags/", actions.TagsView.as_view(), name="tags"),
    path(BATCH + "archive/", actions.ArchiveView.as_view(), name="archive"),
    path(BATCH + "unarchive/", actions.UnarchiveView.as_view(), name="unarchive"),
]
