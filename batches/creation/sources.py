"""The sources of a batch: a folder of files, or a batch folder with its `mapper_report.csv` (domain.md 1)."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batches.choices import MapOutcome, UploadOutcome
from batches.creation import csv_reader
from batches.creation.csv_reader import AS_FOUND, CsvFormat, RowError, Table
from batches.creation.named_paths import FolderFiles, FoundFile
from batches.keys import MAX_KEY_LENGTH, InvalidKey, Key, decode, encode
from batches.models.record import EMPTY_FILE, MAX_FILE_SIZE, too_large
from batches.report_columns import MAP_COLUMNS, OUTCOME_COLUMNS

MAPPER_REPORT = "mapper_report.csv"
UPLOAD_REPORT = "upload_report.csv"
INGEST_REPORT = "ingest_report.csv"
STEP_REPORTS = frozenset({MAPPER_REPORT, UPLOAD_REPORT, INGEST_REPORT})
REQUIRED_COLUMNS = ("cmt_outcome", "cmt_output_file", "cmt_s3_key")
REPORT_COLUMNS = (*MAP_COLUMNS, *OUTCOME_COLUMNS, "mediafileuri")
"""Columns of the step reports that mean something here."""
MAX_FILE_LENGTH = 1024
MAX_MESSAGE_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a source: a record before it is sent."""

    row: int
    key: str | None
    parts: Key | None
    file: str | None
    size: int | None
    map_outcome: MapOutcome
    warned: bool
    upload_outcome: UploadOutcome
    message: str | None
    source: str
    """The row's values as a JSON list."""


@dataclass(frozen=True)
class KeyTemplate:
    """How keys are made for the files of a folder."""

    bid: str
    path: str
    action: str


def has_report(folder: Path) -> bool:
    """Whether it is a batch folder."""
    return (folder / MAPPER_REPORT).is_file()


def file_columns() -> list[str]:
    """The columns for a folder of files, as a mapper would have written them."""
    return ["identifier", *MAP_COLUMNS]


def file_rows(files: Iterable[tuple[str, int]], template: KeyTemplate) -> Iterator[SourceRow]:
    """A row for each file, given its name and size."""
    for row, (name, size) in enumerate(files, 1):
        yield _file_row(row, name, size, template)


def report_columns(folder: Path, name: str = MAPPER_REPORT, form: CsvFormat = AS_FOUND) -> list[str]:
    """The header of the mapper report, or of another report with all its columns. Raises OperationRefused."""
    return _open_report(folder / name, form).columns


def report_rows(
    folder: Path, bid: str, name: str = MAPPER_REPORT, form: CsvFormat = AS_FOUND
) -> Iterator[SourceRow | RowError]:
    """A row for each row of the mapper report, in its order, or an error if it can't be read."""
    table = _open_report(folder / name, form)
    header = table.columns
    files = FolderFiles(folder)
    columns = tuple(header.index(name) for name in REQUIRED_COLUMNS)
    warnings, errors = (header.index(name) if name in header else None for name in ("cmt_warnings", "cmt_errors"))
    for row, (line, values) in enumerate(table.rows(), 1):
        try:
            csv_reader.validate_row(values, header)
            warned = warnings is not None and bool(values[warnings])
            map_errors = values[errors].strip() if errors is not None else ""
            yield _report_row(row, files, bid, values, columns, warned=warned, map_errors=map_errors)
        except RowError as error:
            yield RowError(f"row {row} (line {line}): {error}")


def _open_report(path: Path, form: CsvFormat) -> Table:
    return csv_reader.open_table(path, REQUIRED_COLUMNS, "mapper report", known=REPORT_COLUMNS, form=form)


def _file_row(row: int, name: str, size: int, template: KeyTemplate) -> SourceRow:
    # A Mac writes file names decomposed.
    identifier = unicodedata.normalize("NFC", Path(name).stem)
    status = "new" if template.action == "CREATE" else "existing"
    key: str | None
    try:
        key, message = encode(template.bid, template.path, identifier, template.action), _wrong_size(size)
        outcome = UploadOutcome.UNUPLOADABLE if message else UploadOutcome.PENDING
    except InvalidKey as error:
        key, message, outcome = None, str(error), UploadOutcome.UNUPLOADABLE
    name = name.encode(errors="replace").decode()
    values = [identifier.encode(errors="replace").decode(), status, "success", name, key or "", "", ""]
    parts = Key(template.bid, template.path, identifier, template.action) if key else None
    return SourceRow(
        row=row,
        key=key,
        parts=parts,
        file=name,
        size=size if key else None,
        map_outcome=MapOutcome.SUCCESS,
        warned=False,
        upload_outcome=outcome,
        message=message,
        source=json.dumps(values, ensure_ascii=False),
    )


def _report_row(
    row: int,
    files: FolderFiles,
    bid: str,
    values: Sequence[str],
    columns: tuple[int, ...],
    *,
    warned: bool,
    map_errors: str,
) -> SourceRow:
    outcome, file, key = (values[index].strip() for index in columns)
    if outcome not in MapOutcome.values:
        raise RowError(f"cmt_outcome is {outcome!r}, expected one of {', '.join(MapOutcome.values)}")
    parts = _decode_key(key, bid)
    found = files.find(file) if file else FoundFile("", None)
    if len(found.name) > MAX_FILE_LENGTH:
        raise RowError(f"cmt_output_file has {len(found.name)} characters, at most {MAX_FILE_LENGTH} are allowed")
    upload, message = _initial_outcome(outcome, key, found)
    if upload == UploadOutcome.SKIP and map_errors:
        message = f"{message}: {map_errors}"
    return SourceRow(
        row=row,
        key=key if parts else None,
        parts=parts,
        file=found.name or None,
        size=found.size,
        map_outcome=MapOutcome(outcome),
        warned=warned,
        upload_outcome=upload,
        message=message and message[:MAX_MESSAGE_LENGTH],
        source=json.dumps(values, ensure_ascii=False),
    )


def _initial_outcome(outcome: str, key: str, file: FoundFile) -> tuple[UploadOutcome, str | None]:
    """Whether a row of the mapper report can be sent, and if not, why."""
    if outcome == MapOutcome.FAILURE:
        return UploadOutcome.SKIP, "mapping failed"
    if not key:
        return UploadOutcome.UNUPLOADABLE, "no key in the mapper report"
    if len(key) > MAX_KEY_LENGTH:
        return UploadOutcome.UNUPLOADABLE, f"the key has {len(key)} bytes, at most {MAX_KEY_LENGTH} are allowed"
    if not file.name:
        return UploadOutcome.UNUPLOADABLE, "no file in the mapper report"
    if file.size is None:
        reason = "is outside of the batch folder" if file.is_outside else "not found"
        return UploadOutcome.UNUPLOADABLE, f"file {file.name!r} {reason}"
    wrong_size = _wrong_size(file.size)
    return (UploadOutcome.UNUPLOADABLE if wrong_size else UploadOutcome.PENDING), wrong_size


def _wrong_size(size: int) -> str | None:
    """Why a file of that size can't be sent."""
    if not size:
        return EMPTY_FILE
    return too_large(size) if size > MAX_FILE_SIZE else None


def _decode_key(key: str, bid: str) -> Key | None:
    if not key or len(key) > MAX_KEY_LENGTH:
        return None
    try:
        parts = decode(key)
    except InvalidKey as error:
        raise RowError(f"cmt_s3_key {error}") from error
    if parts.batch != bid:
        raise RowError(f"the key is of batch {parts.batch!r}, this batch is {bid!r}")
    if "\0" in parts.identifier or "\0" in parts.path:
        raise RowError("the key contains a NUL character")
    return parts
