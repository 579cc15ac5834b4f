"""The list of batches, and the page of one batch with its records."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse

from batches import querysets
from batches.choices import STATE_COLOURS, BatchStatus, action_counts
from batches.corrections.links import corrected_batches
from batches.corrections.status import batches_with_open, correction_status, with_corrected_in
from batches.filters import BatchFilterSet, RecordFilterSet
from batches.ingest import forecast
from batches.models import Batch, BatchRecord
from batches.reports.failure_causes import failure_causes
from batches.store import store_changed_note
from batches.tables import BatchTable, RecordTable
from batches.tags import tags_of
from batches.upload_queue.run import read_queue, waits_until
from batches.views import available_actions, downloads, timeline
from core.lists.views import FilteredListView

MAX_CHART_POINTS = 1000
MAX_CAUSES = 20


class BatchListView(FilteredListView):
    """All batches, newest first."""

    queryset = batches_with_open(querysets.batches_with_state())
    filterset_class = BatchFilterSet
    table_class = BatchTable
    template_name = "batches/batches.html"
    permission_required = "batches.view_batch"
    title = "Batches"
    lead = "A batch is a set of records that are uploaded and ingested together."
    empty = "No batches yet. To add one from a folder of files: `python manage.py batch add BID FOLDER`"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        return {**super().get_context_data(**kwargs), "queue": read_queue(), "queue_waits_until": waits_until()}

    def get(self, request: HttpRequest, **path: Any) -> HttpResponse | StreamingHttpResponse:  # noqa: ANN401
        """The page, its rows as a CSV, or the batches CSV of the same batches."""
        if request.GET.get("export") == "batches":
            filterset = self.get_filterset(self.filterset_class)
            if not filterset.is_bound or filterset.is_valid():
                return downloads.tracking_csv_response(filterset.qs)
        return super().get(request, **path)


class BatchDetailView(FilteredListView):
    """One batch: state, failures, history, and its records as a list."""

    filterset_class = RecordFilterSet
    table_class = RecordTable
    template_name = "batches/batch.html"
    permission_required = "batches.view_batch"
    title = "Records of a batch"
    empty = "This batch has no records."

    @cached_property
    def batch(self) -> Batch:
        """The batch in the URL."""
        batches = querysets.batches_with_state().annotate(
            has_retried=Exists(BatchRecord.objects.filter(querysets.OBJECT_IS_RETRIED, batch=OuterRef("pk")))
        )
        batch = batches.filter(bid=self.kwargs["bid"]).first()
        if batch is None:
            raise Http404(f"There is no batch '{self.kwargs['bid']}'.")
        return batch

    def get_queryset(self) -> QuerySet[BatchRecord]:
        return with_corrected_in(BatchRecord.objects.filter(batch=self.batch).select_related("batch")).order_by("row")

    def get_title(self) -> str:
        """Also the file name of the CSV export."""
        return f"Batch {self.batch} records"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        batch = self.batch
        points = forecast.count_points(batch, MAX_CHART_POINTS)
        current = forecast.forecast(points) if batch.status == BatchStatus.UPLOADED else None
        causes, actions = failure_causes(batch), querysets.count_actions(batch)
        corrections = correction_status(batch)
        return {
            **super().get_context_data(**kwargs),
            "batch": batch,
            "actions_of_records": action_counts(actions) if set(actions) - {batch.action} else "",
            "colour": STATE_COLOURS[batch.state],  # type: ignore[attr-defined]
            "actions": available_actions.available_actions(
                batch,
                self.request.user,
                has_retried=batch.has_retried,  # type: ignore[attr-defined]
            ),
            "next_step": available_actions.next_step_hint(batch, corrections),
            "store_note": store_changed_note(batch),
            "forecast": current,
            "rate": timeline.rate_text(current.rate) if current and current.rate else "",
            "points": points,
            "chart": timeline.remaining_chart(points, current),
            "causes": causes[:MAX_CAUSES],
            "corrections": corrections,
            "corrects": corrected_batches(batch),
            "tags": tags_of(batch),
            "more_causes": max(0, len(causes) - MAX_CAUSES),
            "events": timeline.timeline(batch),
            "cleared": downloads.cleared_files(batch),
        }
