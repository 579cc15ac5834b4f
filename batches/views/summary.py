"""The sheet that adds up as a page to print: of one batch, and of those of a filtered list."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.generic import View

from batches.corrections.status import correction_status
from batches.filters import BatchFilterSet
from batches.models import Batch
from batches.reports.failure_causes import failure_causes
from batches.reports.rates import compared, ingest_rate, usual_rate
from batches.reports.sheet import BatchSheet, RecordCounts, batch_sheets, sheet_rows, total
from batches.tags import tags_of
from batches.views.downloads import csv_pages
from batches.views.timeline import timeline
from core.lists.csv_export import file_response, with_bom
from core.lists.views import not_exported
from core.permissions import PermissionView

MAX_BATCHES = 1000
"""Batches on one page; the CSV, and the command, have all."""


@dataclass(frozen=True)
class SheetLine:
    """One number of the sheet, and whether it is a part of the sum above it."""

    label: str
    number: int
    is_part: bool = True
    colour: str = ""


def sheet_lines(counts: RecordCounts) -> list[SheetLine]:
    """Both sums, with the parts that are not 0."""
    lines = [
        SheetLine("Records", counts.records, is_part=False),
        SheetLine("not mapped", counts.not_mapped, colour="red"),
        SheetLine("not uploaded", counts.not_uploaded, colour="red"),
        SheetLine("to upload", counts.to_upload),
        SheetLine("uploaded", counts.uploaded),
        SheetLine("Uploaded", counts.uploaded, is_part=False),
        SheetLine("in ingest", counts.in_ingest),
        SheetLine("ingested", counts.ingested, colour="green"),
        SheetLine("failed", counts.failed, colour="red"),
        SheetLine("cleared: objects deleted", counts.cleared, colour="red"),
        SheetLine("uncertain: may have been ingested", counts.uncertain, colour="orange"),
    ]
    failed = counts.corrected + counts.open
    if failed:
        lines += [
            SheetLine("Failed in any step", failed, is_part=False),
            SheetLine("corrected in a later batch", counts.corrected, colour="green"),
            SheetLine("open", counts.open, colour="red"),
        ]
    if counts.retried:
        lines.append(SheetLine("Tried again and again", counts.retried, is_part=False, colour="orange"))
    return [line for line in lines if line.number or not line.is_part]


class BatchSummaryView(PermissionView, View):
    """The sheet of one batch."""

    permission_required = "batches.view_batch"

    def get(self, request: HttpRequest, bid: str) -> HttpResponse:
        """Some queries more than the page of the batch."""
        sheet = next(batch_sheets(Batch.objects.filter(bid=bid)), None)
        if sheet is None:
            raise Http404(f"There is no batch '{bid}'.")
        batch = sheet.batch
        context = {
            "title": f"Batch {batch}",
            "sheet": sheet,
            "batch": batch,
            "lines": sheet_lines(sheet.counts),
            "rate": ingest_rate(batch),
            "comparison": compared(batch, usual_rate(batch)),
            "causes": failure_causes(batch),
            "corrections": correction_status(batch),
            "tags": tags_of(batch),
            "events": timeline(batch),
            "now": timezone.now(),
        }
        return render(request, "batches/summary.html", context)


class SummaryView(PermissionView, View):
    """The sheet of all batches of a filtered list, by the filters of that list; archived ones only if it asks for them."""

    permission_required = "batches.view_batch"

    def get(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """The page, or with `?export=csv` a row for each batch."""
        batches: QuerySet[Any] = Batch.objects.order_by("added_at", "pk")
        filters = BatchFilterSet(request.GET or None, queryset=batches, request=request)
        is_valid = not filters.is_bound or filters.is_valid()
        if request.GET.get("export") == "csv":
            if not is_valid:
                return not_exported(filters)
            rows = csv_pages(sheet_rows(batch_sheets(filters.qs)))
            return file_response(with_bom(rows), f"summary-{timezone.localdate():%Y-%m-%d}.csv")
        sheets: list[BatchSheet] = list(
            islice(batch_sheets(filters.qs if is_valid else batches.none()), MAX_BATCHES + 1)
        )
        context = {
            "title": "Summary",
            "filter": filters,
            "sheets": sheets[:MAX_BATCHES],
            "is_cut": len(sheets) > MAX_BATCHES,
            "lines": sheet_lines(total(sheets[:MAX_BATCHES])),
            "total": total(sheets[:MAX_BATCHES]),
            "now": timezone.now(),
        }
        return render(request, "batches/summaries.html", context)
