"""Pages of batches: all of them, and one with its records."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse

from batches import downloads, draining, offers, stands, story
from batches.causes import causes
from batches.choices import BatchStatus
from batches.curve import drain
from batches.filters import BatchFilters, RecordFilters
from batches.models import Batch, BatchRecord
from batches.places import moved
from batches.tables import BatchTable, RecordTable
from core.lists.views import FilteredListView

DRAWN = 1000
"""Counts from which the picture is drawn."""
CAUSES = 20


class BatchList(FilteredListView):
    """All batches, newest first."""

    queryset = stands.batches()
    filterset_class = BatchFilters
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
                return downloads.tracking(filterset.qs)
        return super().get(request, **path)


class BatchPage(FilteredListView):
    """One batch: where it stands, why records failed, what happened, and its records as a list."""

    filterset_class = RecordFilters
    table_class = RecordTable
    template_name = "batches/batch.html"
    permission_required = "batches.view_batch"
    title = "Records of a batch"
    empty = "This batch has no records."

    @cached_property
    def batch(self) -> Batch:
        """The batch that the address names."""
        found = stands.batches().filter(bid=self.kwargs["bid"]).first()
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
        points = draining.points(batch, DRAWN)
        going = drain(points) if batch.status == BatchStatus.UPLOADED else None
        why = causes(batch)
        return {
            **super().get_context_data(**kwargs),
            "batch": batch,
            "colour": stands.STANDS_COLOURS[batch.stands],  # type: ignore[attr-defined]
            "offers": offers.offers(batch, self.request.user),
            "advice": offers.advice(batch),
            "moved": moved(batch),
            "drain": going,
            "pace": story.pace(going.rate) if going and going.rate else "",
            "points": points,
            "chart": story.picture(points, going),
            "causes": why[:CAUSES],
            "more_causes": max(0, len(why) - CAUSES),
            "events": story.story(batch),
            "cleared": downloads.cleared_files(batch),
        }
