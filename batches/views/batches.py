"""Pages of batches: all of them, and one with its records."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse

from batches import querysets
from batches.choices import STATE_COLOURS, BatchStatus
from batches.filters import BatchFilterSet, RecordFilterSet
from batches.ingest import forecast
from batches.models import Batch, BatchRecord
from batches.reports.failure_causes import failure_causes
from batches.store import store_changed_note
from batches.tables import BatchTable, RecordTable
from batches.views import available_actions, downloads, timeline
from core.lists.views import FilteredListView

MOST_DRAWN = 1000
"""Counts from which the picture is drawn."""
MOST_CAUSES = 20


class BatchListView(FilteredListView):
    """All batches, newest first."""

    queryset = querysets.batches_with_state()
    filterset_class = BatchFilterSet
    table_class = BatchTable
    template_name = "batches/batches.html"
    permission_required = "batches.view_batch"
    title = "Batches"
    lead = "Each is a set of records that is uploaded and ingested together."
    empty = "No batch yet. Add one from a folder of files: `python manage.py batch add BID FOLDER`"

    def get(self, request: HttpRequest, **path: Any) -> HttpResponse | StreamingHttpResponse:  # noqa: ANN401
        """The page, its rows as a CSV, or the batches CSV of the same batches."""
        if request.GET.get("export") == "batches":
            filterset = self.get_filterset(self.filterset_class)
            if not filterset.is_bound or filterset.is_valid():
                return downloads.tracking_csv_response(filterset.qs)
        return super().get(request, **path)


class BatchDetailView(FilteredListView):
    """One batch: where it stands, why records failed, what happened, and its records as a list."""

    filterset_class = RecordFilterSet
    table_class = RecordTable
    template_name = "batches/batch.html"
    permission_required = "batches.view_batch"
    title = "Records of a batch"
    empty = "This batch has no records."

    @cached_property
    def batch(self) -> Batch:
        """The batch that the address names."""
        found = querysets.batches_with_state().filter(bid=self.kwargs["bid"]).first()
        if found is None:
            raise Http404(f"There is no batch '{self.kwargs['bid']}'.")
        return found

    def get_queryset(self) -> QuerySet[BatchRecord]:
        """Its records in the order of their source."""
        return BatchRecord.objects.filter(batch=self.batch).order_by("row")

    def get_title(self) -> str:
        """Also the name of the file of its records."""
        return f"Batch {self.batch} records"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        """All that is said of the batch."""
        batch = self.batch
        points = forecast.points(batch, MOST_DRAWN)
        going = forecast.forecast(points) if batch.status == BatchStatus.UPLOADED else None
        why = failure_causes(batch)
        return {
            **super().get_context_data(**kwargs),
            "batch": batch,
            "colour": STATE_COLOURS[batch.stands],  # type: ignore[attr-defined]
            "offers": available_actions.available_actions(batch, self.request.user),
            "advice": available_actions.next_step_hint(batch),
            "moved": store_changed_note(batch),
            "drain": going,
            "pace": timeline.rate_text(going.rate) if going and going.rate else "",
            "points": points,
            "chart": timeline.remaining_chart(points, going),
            "causes": why[:MOST_CAUSES],
            "more_causes": max(0, len(why) - MOST_CAUSES),
            "events": timeline.timeline(batch),
            "cleared": downloads.cleared_files(batch),
        }
