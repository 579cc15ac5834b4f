"""The corrections CSV: the failed rows of a batch as they are in its source, and why; to be corrected and mapped again."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from batches.choices import IngestOutcome, UploadOutcome
from batches.corrections.status import NOT_IN_BUCKET, with_corrected_in
from batches.models import Batch, BatchRecord
from batches.report_columns import ERROR_COLUMNS, source_indexes
from batches.reports.failure_causes import message_pattern, unknown_cause
from batches.reports.ingest_report import CANDIDATE_PREFIX
from core.files import CsvWriter, Writable, write_atomically
from core.lists.csv_expressions import safe_text

PAGE_SIZE = 1000
_FIELDS = (
    "row", "source", "upload_outcome", "upload_message", "ingest_outcome", "ingest_message", "ingest_candidate", "tries",
)  # fmt: skip


def failed_rows(
    batch: Batch, *, uncertain: bool = False, only_open: bool = False, cause: str = ""
) -> Iterator[list[str]]:
    """A header, and a row for each failed record in the order of the source: its columns there, and ERROR_COLUMNS.

    `uncertain`: also records that may have been ingested; `only_open`: without those that were corrected since; `cause`: only
    those whose cause contains this text, in any case. Cells of the source are as they are there, so that they can be mapped
    again: not safe for spreadsheets, as ours are. Memory does not grow with the records.
    """
    columns: list[str] = json.loads(batch.source_columns)
    kept = source_indexes(columns)
    errors = columns.index("cmt_errors") if "cmt_errors" in columns else None
    yield [*(columns[index] for index in kept), *ERROR_COLUMNS]
    for record in _failed_records(batch, uncertain=uncertain, only_open=only_open):
        values: list[str] = json.loads(record["source"])
        step, message = _error(record, values[errors] if errors is not None else "")
        found = _cause(batch, record, step)
        if cause.casefold() in found.casefold():
            tries = str(record["tries"] or "")
            yield [*(values[index] for index in kept), step, safe_text(message), safe_text(found), tries]


def write_failed_rows(file: Writable, rows: Iterator[list[str]]) -> int:
    """Writes them as CSV; returns how many, without the header."""
    writer, number = CsvWriter(file), -1
    for row in rows:
        writer.writerow(row)
        number += 1
    return number


def write_failed_rows_to(path: Path, rows: Iterator[list[str]]) -> int:
    """The same into a file, which is replaced whole. Raises OSError."""
    with write_atomically(path) as file:
        return write_failed_rows(file, rows)


def _failed_records(batch: Batch, *, uncertain: bool, only_open: bool) -> Iterator[dict[str, Any]]:
    """By row. Each outcome is read by its index, a page at a time."""
    records: QuerySet[Any] = BatchRecord.objects.filter(batch=batch)
    if only_open:
        records = with_corrected_in(records).filter(corrected_in=None)
    uploads = (*NOT_IN_BUCKET, UploadOutcome.UNCERTAIN) if uncertain else NOT_IN_BUCKET
    streams = [_pages(records.filter(upload_outcome=outcome)) for outcome in uploads]
    failed = records.filter(ingest_outcome=IngestOutcome.FAILURE).exclude(upload_outcome__in=uploads)
    return heapq.merge(*streams, _pages(failed), key=lambda record: record["row"])


def _pages(records: QuerySet[Any]) -> Iterator[dict[str, Any]]:
    rows, last_row = records.order_by("row").values(*_FIELDS), 0
    while page := list(rows.filter(row__gt=last_row)[:PAGE_SIZE]):
        yield from page
        last_row = page[-1]["row"]


def _error(record: dict[str, Any], map_errors: str) -> tuple[str, str]:
    """The step that failed, and its message: of the mapper its own, as it is in the source."""
    upload = record["upload_outcome"]
    if upload == UploadOutcome.SKIP:
        return "map", map_errors or record["upload_message"] or ""
    # The result has an outcome for each record, also for one that was never uploaded.
    if upload in (UploadOutcome.SUCCESS, UploadOutcome.CLEARED) and record["ingest_outcome"] == IngestOutcome.FAILURE:
        candidate = record["ingest_candidate"]
        return "ingest", record["ingest_message"] or (CANDIDATE_PREFIX + candidate if candidate else "")
    step = {UploadOutcome.CLEARED: "cleared", UploadOutcome.UNCERTAIN: "uncertain"}.get(upload, "upload")
    return step, record["upload_message"] or ""


def _cause(batch: Batch, record: dict[str, Any], step: str) -> str:
    """As `failure_causes` names it."""
    if step == "ingest":
        return message_pattern(record["ingest_message"] or record["ingest_candidate"] or unknown_cause(batch, step))
    return message_pattern(record["upload_message"])
