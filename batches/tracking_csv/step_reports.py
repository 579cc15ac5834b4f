"""What `upload_report.csv` and `ingest_report.csv` of a batch folder say of its records, put on the records.

Rows are found again by their key, whatever their order; a row without one by its place and its values.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from django.db.models import QuerySet

from batches.choices import IngestOutcome, UploadOutcome
from batches.creation import csv_reader
from batches.creation.csv_reader import RowError
from batches.keys import digest
from batches.models import Batch, BatchRecord
from batches.models.record import LONGEST_MESSAGE
from core.exceptions import OperationRefused

GROUP = 500
KEY = "cmt_s3_key"
UPLOAD_STATUS, UPLOAD_MESSAGE = "cmt_upload_status", "cmt_upload_message"
INGEST_STATUS, INGEST_MESSAGE = "CMT_ingest_status", "CMT_ingest_message"
UPLOAD_WORDS = (
    UploadOutcome.SUCCESS,
    UploadOutcome.FAILURE,
    UploadOutcome.SKIP,
    UploadOutcome.UNUPLOADABLE,
    UploadOutcome.UNCERTAIN,
    UploadOutcome.CLEARED,
)
MOST_NAMED = 3


class ReportRow(NamedTuple):
    """What one row of a report says of its record."""

    row: int
    values: list[str]
    key: str
    outcome: str
    message: str | None
    cut: bool


class ReportSummary(NamedTuple):
    """What became of a report's rows."""

    number: int
    strange: list[int]
    """Rows that are none of the batch's records."""
    cut: int
    """Messages that were longer than their column, and were cut."""


def apply_upload(batch: Batch, report: Path) -> ReportSummary:
    """Puts the outcome of the upload on the records. Raises OperationRefused for a report that can't be read."""
    words = [word.value for word in UPLOAD_WORDS]
    return _apply(batch, report, (UPLOAD_STATUS, UPLOAD_MESSAGE), words, ("upload_outcome", "upload_message"))


def apply_ingest(batch: Batch, report: Path) -> ReportSummary:
    """Puts the outcome of the ingest on the records. Raises OperationRefused for a report that can't be read."""
    columns = (INGEST_STATUS, INGEST_MESSAGE)
    return _apply(batch, report, columns, IngestOutcome.values, ("ingest_outcome", "ingest_message"))


def reports_uploads(report: Path) -> bool:
    """Whether the report has the outcomes of the upload."""
    return report.is_file() and UPLOAD_STATUS in next(csv_reader.read_rows(report), (0, []))[1]


def _apply(
    batch: Batch, report: Path, columns: tuple[str, str], words: list[str], fields: tuple[str, str]
) -> ReportSummary:
    number, strange, cut = 0, list[int](), 0
    source = len(json.loads(batch.source_columns))
    rows = _report_row(report, columns, words)
    records = BatchRecord.objects.filter(batch=batch)
    while some := list(islice(rows, GROUP)):
        number += len(some)
        cut += sum(one.cut for one in some)
        strange += _write(records, some, source, fields)
    return ReportSummary(number, strange, cut)


def _report_row(report: Path, columns: tuple[str, str], words: list[str]) -> Iterator[ReportRow]:
    rows = csv_reader.read_rows(report)
    header = csv_reader.read_header(report, rows, (KEY, columns[0]), f"report with {columns[0]}")
    key, status = header.index(KEY), header.index(columns[0])
    message = header.index(columns[1]) if columns[1] in header else None
    for row, (line, values) in enumerate(rows, 1):
        try:
            csv_reader.validate_row(values, header)
            _check_word(columns[0], values[status], words)
        except RowError as error:
            raise OperationRefused(f"{report}, row {row} (line {line}): {error}") from error
        why = values[message] if message is not None else ""
        short = why[:LONGEST_MESSAGE]
        yield ReportRow(row, values, values[key].strip(), values[status], short or None, cut=short != why)


def _check_word(column: str, word: str, words: list[str]) -> None:
    if word not in words:
        raise RowError(f"{column} is {word!r}, and must be one of {', '.join(words)}")


def _write(
    records: QuerySet[BatchRecord], some: list[ReportRow], source: int, fields: tuple[str, str]
) -> Iterator[int]:
    """Writes what a group of rows says, an UPDATE for each outcome; yields the rows that have no record."""
    keyed = {digest(one.key): one for one in some if one.key}
    found = dict(records.filter(key_digest__in=keyed).values_list("key_digest", "pk"))
    keyless = _keyless(records, some, source)
    groups: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for one in some:
        pk = found.get(digest(one.key)) if one.key else keyless.get(one.row)
        if pk is None:
            yield one.row
        else:
            groups[one.outcome, one.message].append(pk)
    for (outcome, message), pks in groups.items():
        records.filter(pk__in=pks).update(**dict(zip(fields, (outcome, message), strict=True)))


def _keyless(records: QuerySet[BatchRecord], some: list[ReportRow], source: int) -> dict[int, int]:
    """Keys of the records of rows without a key, by row: those that stand in the same place and hold the same values."""
    rows = {one.row: json.dumps(one.values[:source], ensure_ascii=False) for one in some if not one.key}
    known = records.filter(row__in=rows, key=None).values_list("row", "pk", "source") if rows else ()
    return {row: pk for row, pk, text in known if text == rows[row]}
