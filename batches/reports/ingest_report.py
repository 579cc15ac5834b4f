"""`ingest_report.csv`: what became of each record, beside all that the source said of it (domain.md 1, "A batch folder")."""

from __future__ import annotations

import csv
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from batches.choices import IngestOutcome
from batches.models import Batch, BatchRecord

UPLOAD_COLUMNS = ("cmt_upload_status", "cmt_upload_message")
INGEST_COLUMNS = ("CMT_ingest_status", "CMT_ingest_message")
REPORT_NAME = "ingest_report.csv"
PERHAPS_NOTE = "Perhaps: "
"""Before a message of which the log does not say whose it is."""
PAGE = 2000


def report_path(batch: Batch) -> Path:
    """Where the report of a batch is, or would be."""
    return Path(settings.REPORTS_DIR) / batch.bid / REPORT_NAME


def sync_file(batch: Batch) -> Path | None:
    """Makes the file follow the result: written when objects remain, and kept under its time when none do any more.

    Returns its path, None when nothing remains. Cheap when it is right already; whatever died, calling it again puts it
    right. Raises OSError.
    """
    target = report_path(batch)
    if batch.ingest_errs:
        return target if _is_current(target, batch) else write(batch)
    # Another process may be about to do the same.
    with suppress(FileNotFoundError):
        stamp = datetime.fromtimestamp(target.stat().st_mtime, UTC)
        target.replace(target.with_name(f"ingest_report_{stamp:%Y%m%dT%H%M%SZ}.csv"))
    return None


def write(batch: Batch) -> Path:
    """Writes the report, in the row order of the source and always the same bytes for the same facts; returns its path.

    A reader sees the old file or the whole new one; the file's time is that of the result. Raises OSError.
    """
    target = report_path(batch)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{REPORT_NAME}.{secrets.token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(report_rows(batch))
            file.flush()
            os.fsync(file.fileno())
        if result := _result_time(batch):
            os.utime(temporary, (result.timestamp(), result.timestamp()))
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target


def report_rows(batch: Batch) -> Iterator[list[str]]:
    """The report's header and rows; a page of records in memory at a time."""
    columns: list[str] = json.loads(batch.source_columns)
    added = (*UPLOAD_COLUMNS, *INGEST_COLUMNS)
    kept = [index for index, column in enumerate(columns) if column not in added]
    yield [*(columns[index] for index in kept), *added]
    for source, *outcomes, candidate in _pages(BatchRecord.objects.filter(batch=batch)):
        values: list[str] = json.loads(source)
        if candidate and outcomes[-2] == IngestOutcome.FAILURE:
            outcomes[-1] = outcomes[-1] or PERHAPS_NOTE + candidate
        yield [*(values[index] for index in kept), *(text or "" for text in outcomes)]


def _pages(records: QuerySet[BatchRecord]) -> Iterator[tuple[Any, ...]]:
    # By row, not by cursor: without server-side cursors a driver fetches every row (traps.md, pooler).
    wanted = (
        "row",
        "source",
        "upload_outcome",
        "upload_message",
        "ingest_outcome",
        "ingest_message",
        "ingest_candidate",
    )
    last = 0
    while page := list(records.filter(row__gt=last).order_by("row").values_list(*wanted)[:PAGE]):
        yield from (row[1:] for row in page)
        last = page[-1][0]


def _result_time(batch: Batch) -> datetime | None:
    return batch.result_changed_at or batch.ingest_done_at


def _is_current(target: Path, batch: Batch) -> bool:
    """Whether the file is of the result as it is now."""
    result = _result_time(batch)
    try:
        # A float holds a time of today to some hundred nanoseconds, a row to a microsecond.
        return result is not None and abs(target.stat().st_mtime - result.timestamp()) < 1e-5
    except FileNotFoundError:
        return False
