"""`ingest_report.csv`: the outcome of each record, next to its columns in the source (domain.md 1, "A batch folder")."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from batches.choices import IngestOutcome
from batches.models import Batch, BatchRecord
from batches.report_columns import OUTCOME_COLUMNS
from core.files import CsvWriter, write_atomically

REPORT_NAME = "ingest_report.csv"
CANDIDATE_PREFIX = "Perhaps: "
"""Before a message that may belong to another record."""
PAGE_SIZE = 2000


def report_path(batch: Batch) -> Path:
    """Where the report of a batch is, or would be."""
    return Path(settings.REPORTS_DIR) / batch.bid / REPORT_NAME


def sync_file(batch: Batch) -> Path | None:
    """Makes the file match the result: written if objects remain, otherwise renamed after its time.

    Returns its path, None if nothing remains. Cheap if the file is current; after a crash, call it again. Raises OSError.
    """
    path = report_path(batch)
    if batch.ingest_errs:
        result = _result_time(batch)
        with suppress(FileNotFoundError):
            # A float holds a time of today to some hundred nanoseconds, a row to a microsecond.
            if result is not None and abs(path.stat().st_mtime - result.timestamp()) < 1e-5:
                return path
        return write(batch)
    # Another process may be doing the same.
    with suppress(FileNotFoundError):
        stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        path.replace(path.with_name(f"ingest_report_{stamp:%Y%m%dT%H%M%SZ}.csv"))
    return None


def write(batch: Batch) -> Path:
    """Writes the report, the same bytes for the same facts, with the time of the result; returns its path. Raises OSError."""
    path = report_path(batch)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path, modified=_result_time(batch)) as file:
        CsvWriter(file).writerows(report_rows(batch))
    return path


def report_rows(batch: Batch) -> Iterator[list[str]]:
    """The header and the rows of the report, in the order of the source; a page of records in memory at a time."""
    columns: list[str] = json.loads(batch.source_columns)
    kept = [index for index, column in enumerate(columns) if column not in OUTCOME_COLUMNS]
    yield [*(columns[index] for index in kept), *OUTCOME_COLUMNS]
    # By row, not by cursor: without server-side cursors a driver fetches every row (traps.md, pooler).
    records = BatchRecord.objects.filter(batch=batch).order_by("row")
    outcomes = ("upload_outcome", "upload_message", "ingest_outcome", "ingest_message")
    pages, last_row = records.values_list("row", "source", "ingest_candidate", *outcomes), 0
    while page := list(pages.filter(row__gt=last_row)[:PAGE_SIZE]):
        for _row, source, candidate, *cells in page:
            values: list[str] = json.loads(source)
            if candidate and cells[-2] == IngestOutcome.FAILURE:
                cells[-1] = cells[-1] or CANDIDATE_PREFIX + candidate
            yield [*(values[index] for index in kept), *(text or "" for text in cells)]
        last_row = page[-1][0]


def _result_time(batch: Batch) -> datetime | None:
    return batch.result_changed_at or batch.ingest_done_at
