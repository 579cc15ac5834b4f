"""Downloads: the report of a batch, the batches CSV, and the CSV of a clear."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from io import StringIO
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.generic import View

from batches.models import Batch
from batches.reports import ingest_report
from batches.reports.failed_rows import failed_rows
from batches.tracking_csv.columns import NAMES, cells
from core.files import CsvWriter
from core.lists.csv_export import file_response, with_bom
from core.lists.csv_expressions import safe_text
from core.permissions import PermissionView
from core.temporary import in_pages

PAGE_SIZE = 500


class IngestReportView(PermissionView, View):
    """`ingest_report.csv` for every batch, safe for spreadsheets as the exports are; `?plain=1`: as `ingstat` writes it."""

    permission_required = "batches.view_batch"

    def get(self, request: HttpRequest, bid: str) -> StreamingHttpResponse:
        """Streamed, a page of records in memory at a time."""
        batch = get_object_or_404(Batch, bid=bid)
        rows, name = ingest_report.report_rows(batch), f"{bid}-{ingest_report.REPORT_NAME}"
        if request.GET.get("plain"):
            return file_response(csv_pages(rows), name)
        return file_response(with_bom(csv_pages([safe_text(cell) for cell in row] for row in rows)), name)


class CorrectionsView(PermissionView, View):
    """The corrections CSV of a batch, as `batch corrections` writes it: `?open=1`, `?uncertain=1` and `?cause=` as there."""

    permission_required = "batches.view_batch"

    def get(self, request: HttpRequest, bid: str) -> StreamingHttpResponse:
        """Streamed, with a byte order mark: it will be opened in a spreadsheet. Cells of the source stay as they are."""
        batch, wanted = get_object_or_404(Batch, bid=bid), request.GET
        rows = failed_rows(
            batch,
            uncertain=bool(wanted.get("uncertain")),
            only_open=bool(wanted.get("open")),
            cause=wanted.get("cause", ""),
        )
        return file_response(with_bom(csv_pages(rows)), f"{bid}-corrections.csv")


class ClearedCsvView(PermissionView, View):
    """The CSV of the objects that a clear deleted, if it is on this machine."""

    permission_required = "batches.view_batch"

    def get(self, _request: HttpRequest, bid: str, name: str) -> FileResponse:
        """Sends the file."""
        batch = get_object_or_404(Batch, bid=bid)
        if name not in cleared_files(batch):
            raise Http404("This file is not on the machine of this site.")
        return FileResponse((reports_folder(batch) / name).open("rb"), as_attachment=True, filename=f"{bid}-{name}")


def tracking_csv_response(batches: QuerySet[Batch]) -> StreamingHttpResponse:
    """The batches CSV, as `batch export` writes it."""
    rows = ([row[name] for name in NAMES] for row in map(cells, batches.iterator(PAGE_SIZE)))
    return file_response(csv_pages([list(NAMES)], rows), f"batches-{timezone.localdate():%Y-%m-%d}.csv")


def reports_folder(batch: Batch) -> Path:
    """Folder of the files of a batch."""
    return Path(settings.REPORTS_DIR) / batch.bid


def cleared_files(batch: Batch) -> list[str]:
    """Names of its CSV files of clears, latest first."""
    return sorted((path.name for path in reports_folder(batch).glob("cleared_*.csv")), reverse=True)


def csv_pages(*parts: Iterable[Sequence[object]]) -> Generator[bytes]:
    """The rows as CSV, a page of them at a time."""
    for part in parts:
        for page in in_pages(part, PAGE_SIZE):
            text = StringIO()
            CsvWriter(text).writerows(page)
            yield text.getvalue().encode()
