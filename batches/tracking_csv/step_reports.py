"""Puts the outcomes in `upload_report.csv` and `ingest_report.csv` of a batch folder on its records.

Rows are matched by their key, in any order; a row without a key by its number and its values.
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
from batches.creation.csv_reader import AS_FOUND, CsvFormat, RowError, Table
from batches.creation.sources import REPORT_COLUMNS
from batches.keys import digest
from batches.models import Batch, BatchRecord
from batches.models.record import MAX_MESSAGE_LENGTH
from core.exceptions import OperationRefused

GROUP_SIZE = 500
KEY_COLUMN = "cmt_s3_key"
UPLOAD_STATUS, UPLOAD_MESSAGE = "cmt_upload_status", "cmt_upload_message"
INGEST_STATUS, INGEST_MESSAGE = "CMT_ingest_status", "CMT_ingest_message"
UPLOAD_OUTCOMES = (
    UploadOutcome.SUCCESS,
    UploadOutcome.FAILURE,
    UploadOutcome.SKIP,
    UploadOutcome.UNUPLOADABLE,
    UploadOutcome.UNCERTAIN,
    UploadOutcome.CLEARED,
)
MAX_EXAMPLES = 3


class ReportRow(NamedTuple):
    """One row of a report."""

    row: int
    values: list[str]
    key: str
    outcome: str
    message: str | None
    truncated: bool


class ReportSummary(NamedTuple):
    """Result of a whole report."""

    unmatched: list[int]
    """Rows that match none of the batch's records."""
    truncated: int
    """Messages that were longer than their column."""


def apply_upload(batch: Batch, report: Path, form: CsvFormat = AS_FOUND) -> ReportSummary:
    """Puts the outcome of the upload on the records. Raises OperationRefused for a report that can't be read."""
    outcomes = [outcome.value for outcome in UPLOAD_OUTCOMES]
    columns = (UPLOAD_STATUS, UPLOAD_MESSAGE)
    return _apply(batch, _open(report, form), columns, outcomes, ("upload_outcome", "upload_message"))


def apply_ingest(batch: Batch, report: Path, form: CsvFormat = AS_FOUND) -> ReportSummary:
    """Puts the outcome of the ingest on the records. Raises OperationRefused for a report that can't be read."""
    columns = (INGEST_STATUS, INGEST_MESSAGE)
    return _apply(batch, _open(report, form), columns, IngestOutcome.values, ("ingest_outcome", "ingest_message"))


def reports_uploads(report: Path, form: CsvFormat = AS_FOUND) -> bool:
    """Whether the report has outcomes of the upload."""
    return report.is_file() and UPLOAD_STATUS in _open(report, form).columns


def _open(report: Path, form: CsvFormat) -> Table:
    return csv_reader.open_table(report, [KEY_COLUMN], "step report", known=REPORT_COLUMNS, form=form)


def _apply(
    batch: Batch, report: Table, columns: tuple[str, str], outcomes: list[str], fields: tuple[str, str]
) -> ReportSummary:
    unmatched, truncated = list[int](), 0
    column_count = len(json.loads(batch.source_columns))
    rows = _read_rows(report, columns, outcomes)
    records = BatchRecord.objects.filter(batch=batch)
    while group := list(islice(rows, GROUP_SIZE)):
        truncated += sum(row.truncated for row in group)
        unmatched += _write(records, group, column_count, fields)
    return ReportSummary(unmatched, truncated)


def _read_rows(table: Table, columns: tuple[str, str], outcomes: list[str]) -> Iterator[ReportRow]:
    report, header = table.path, table.columns
    if columns[0] not in header:
        raise OperationRefused(f"{report} is not a report with {columns[0]}: that column is missing.")
    key, status = header.index(KEY_COLUMN), header.index(columns[0])
    message = header.index(columns[1]) if columns[1] in header else None
    for row, (line, values) in enumerate(table.rows(), 1):
        try:
            csv_reader.validate_row(values, header)
        except RowError as error:
            raise OperationRefused(f"{report}, row {row} (line {line}): {error}") from error
        outcome = values[status].strip().lower()
        if outcome not in outcomes:
            expected = f"expected one of {', '.join(outcomes)}"
            raise OperationRefused(f"{report}, row {row} (line {line}): {columns[0]} is {values[status]!r}, {expected}")
        text = values[message] if message is not None else ""
        short = text[:MAX_MESSAGE_LENGTH]
        yield ReportRow(row, values, values[key].strip(), outcome, short or None, truncated=short != text)


def _write(
    records: QuerySet[BatchRecord], group: list[ReportRow], column_count: int, fields: tuple[str, str]
) -> Iterator[int]:
    """Writes the outcomes of a group of rows, an UPDATE for each outcome; yields the rows that match no record."""
    digests = {digest(row.key) for row in group if row.key}
    by_digest = dict(records.filter(key_digest__in=digests).values_list("key_digest", "pk"))
    # Rows without a key match a record with the same row number and the same values.
    keyless = {row.row: json.dumps(row.values[:column_count], ensure_ascii=False) for row in group if not row.key}
    same_rows = records.filter(row__in=keyless, key=None).values_list("row", "pk", "source") if keyless else ()
    by_row = {row: pk for row, pk, source in same_rows if source == keyless[row]}
    pks_by_outcome: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for row in group:
        pk = by_digest.get(digest(row.key)) if row.key else by_row.get(row.row)
        if pk is None:
            yield row.row
        else:
            pks_by_outcome[row.outcome, row.message].append(pk)
    for (outcome, message), pks in pks_by_outcome.items():
        records.filter(pk__in=pks).update(**dict(zip(fields, (outcome, message), strict=True)))
