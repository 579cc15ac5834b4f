"""`ingest_report.csv`: what became of each record, beside all that the source said of it (domain.md 1, "A batch folder")."""

from __future__ import annotations

import csv
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from batches.models import Batch, BatchRecord

UPLOAD_COLUMNS = ("cmt_upload_status", "cmt_upload_message")
INGEST_COLUMNS = ("CMT_ingest_status", "CMT_ingest_message")
NAME = "ingest_report.csv"
PAGE = 2000


def path_of(batch: Batch) -> Path:
    """Where the report of a batch is, or would be."""
    return Path(settings.REPORTS_DIR) / batch.bid / NAME


def write(batch: Batch) -> Path:
    """Writes the report, in the row order of the source and always the same bytes for the same facts; returns its path.

    A reader sees the old file or the whole new one. Raises OSError.
    """
    target = path_of(batch)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{NAME}.{secrets.token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines(batch))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target


def lines(batch: Batch) -> Iterator[list[str]]:
    """The report's header and rows; a page of records in memory at a time."""
    columns: list[str] = json.loads(batch.source_columns)
    added = (*UPLOAD_COLUMNS, *INGEST_COLUMNS)
    kept = [index for index, column in enumerate(columns) if column not in added]
    yield [*(columns[index] for index in kept), *added]
    for source, *outcomes in _pages(BatchRecord.objects.filter(batch=batch)):
        values: list[str] = json.loads(source)
        yield [*(values[index] for index in kept), *(text or "" for text in outcomes)]


def _pages(records: QuerySet[BatchRecord]) -> Iterator[tuple[Any, ...]]:
    # By row, not by cursor: without server-side cursors a driver fetches every row (traps.md, pooler).
    wanted = ("row", "source", "upload_outcome", "upload_message", "ingest_outcome", "ingest_message")
    last = 0
    while page := list(records.filter(row__gt=last).order_by("row").values_list(*wanted)[:PAGE]):
        yield from (row[1:] for row in page)
        last = page[-1][0]
