"""What a batch is made of: a folder of files, or a batch folder with its `mapper_report.csv` (domain.md 1)."""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batches.choices import MapOutcome, UploadOutcome
from batches.errors import Refused
from batches.keys import LONGEST_KEY, InvalidKey, Key, decode, encode

MAPPER_REPORT = "mapper_report.csv"
STEP_REPORTS = frozenset({MAPPER_REPORT, "upload_report.csv", "ingest_report.csv"})
CMT_COLUMNS = ("cmt_rec_status", "cmt_outcome", "cmt_output_file", "cmt_s3_key", "cmt_warnings", "cmt_errors")
REQUIRED = ("cmt_outcome", "cmt_output_file", "cmt_s3_key")
LONGEST_FILE = 1024
LONGEST_MESSAGE = 1000
_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One record to be, with what is known of it before it is sent."""

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


class RowError(Refused):
    """A row of the source can't be taken as it is."""


@dataclass(frozen=True)
class Recipe:
    """How keys are made for files that come without one."""

    bid: str
    path: str
    action: str


def has_report(folder: Path) -> bool:
    """Whether it is a batch folder."""
    return (folder / MAPPER_REPORT).is_file()


def file_columns() -> list[str]:
    """The columns that the report of a plain folder has: as a mapper would have written them."""
    return ["identifier", *CMT_COLUMNS]


def file_rows(folder: Path, recipe: Recipe) -> Iterator[SourceRow]:
    """A row for each file, in byte order of their names; hidden files, subfolders and step reports are none."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.name not in STEP_REPORTS and entry.is_file()
        ]
    names.sort(key=os.fsencode)
    for row, name in enumerate(names, 1):
        yield _file_row(row, folder, name, recipe)


def report_columns(folder: Path) -> list[str]:
    """The header of the mapper's report. Raises Refused when it is no such report."""
    return _header(folder / MAPPER_REPORT, _raw_rows(folder / MAPPER_REPORT))


def report_rows(folder: Path, bid: str) -> Iterator[SourceRow | RowError]:
    """A row for each of the mapper's report, in its order; an error for each that can't be taken."""
    report = folder / MAPPER_REPORT
    rows = _raw_rows(report)
    header = _header(report, rows)
    columns = tuple(header.index(name) for name in REQUIRED)
    warnings = header.index("cmt_warnings") if "cmt_warnings" in header else None
    for row, (line, values) in enumerate(rows, 1):
        try:
            _check_row(values, header)
            yield _report_row(row, folder, bid, values, columns, warned=warnings is not None and bool(values[warnings]))
        except RowError as error:
            yield RowError(f"row {row} (line {line}): {error}")


def _file_row(row: int, folder: Path, name: str, recipe: Recipe) -> SourceRow:
    identifier = Path(name).stem
    status = "new" if recipe.action == "CREATE" else "existing"
    key: str | None
    try:
        key, message = encode(recipe.bid, recipe.path, identifier, recipe.action), None
        outcome = UploadOutcome.PENDING
    except InvalidKey as error:
        key, message, outcome = None, str(error), UploadOutcome.UNUPLOADABLE
    name = name.encode(errors="replace").decode()
    values = [identifier.encode(errors="replace").decode(), status, "success", name, key or "", "", ""]
    parts = Key(recipe.bid, recipe.path, identifier, recipe.action) if key else None
    size = (folder / name).stat().st_size if key else None
    return SourceRow(
        row=row,
        key=key,
        parts=parts,
        file=name,
        size=size,
        map_outcome=MapOutcome.SUCCESS,
        warned=False,
        upload_outcome=outcome,
        message=message,
        source=json.dumps(values, ensure_ascii=False),
    )


def _report_row(
    row: int, folder: Path, bid: str, values: Sequence[str], columns: tuple[int, ...], *, warned: bool
) -> SourceRow:
    outcome, file, key = (values[index].strip() for index in columns)
    if outcome not in MapOutcome.values:
        raise RowError(f"cmt_outcome is {outcome!r}, and must be one of {', '.join(MapOutcome.values)}")
    parts = _parts(key, bid)
    known, size = _found(folder, file)
    if known and len(known) > LONGEST_FILE:
        raise RowError(f"cmt_output_file has {len(known)} characters, and {LONGEST_FILE} are allowed")
    upload, message = _prospect(outcome, key, file, known=size is not None)
    return SourceRow(
        row=row,
        key=key if parts else None,
        parts=parts,
        file=known,
        size=size,
        map_outcome=MapOutcome(outcome),
        warned=warned,
        upload_outcome=upload,
        message=message and message[:LONGEST_MESSAGE],
        source=json.dumps(values, ensure_ascii=False),
    )


def _prospect(outcome: str, key: str, file: str, *, known: bool) -> tuple[UploadOutcome, str | None]:
    """Whether a row of the mapper's report can be sent, and why not."""
    if outcome == MapOutcome.FAILURE:
        return UploadOutcome.SKIP, "its mapping failed"
    if not key:
        return UploadOutcome.UNUPLOADABLE, "the mapper gave it no key"
    if len(key) > LONGEST_KEY:
        return UploadOutcome.UNUPLOADABLE, f"its key has {len(key)} bytes, and {LONGEST_KEY} are allowed"
    if not known:
        return UploadOutcome.UNUPLOADABLE, f"there is no file {file!r}" if file else "the mapper gave it no file"
    return UploadOutcome.PENDING, None


def _parts(key: str, bid: str) -> Key | None:
    if not key or len(key) > LONGEST_KEY:
        return None
    try:
        parts = decode(key)
    except InvalidKey as error:
        raise RowError(f"cmt_s3_key {error}") from error
    if parts.batch != bid:
        raise RowError(f"its key is of batch {parts.batch!r}, and this batch is {bid!r}")
    if "\0" in parts.identifier or "\0" in parts.path:
        raise RowError("its key holds a NUL character")
    return parts


def _found(folder: Path, file: str) -> tuple[str | None, int | None]:
    """The file's name relative to the folder where it is below, and its size; None for what is not there."""
    if not file:
        return None, None
    # The folder may have been moved since it was mapped, and then the report still names the old place.
    for name in (file, file.rpartition("/")[2]):
        candidate = folder / name
        try:
            status = candidate.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            inside = name.startswith("/") and candidate.is_relative_to(folder)
            return str(candidate.relative_to(folder)) if inside else name, status.st_size
    return file, None


def _header(report: Path, rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    _, header = next(rows, (0, []))
    try:
        _check_text(header)
    except RowError as error:
        raise Refused(f"{report}, header: {error}") from error
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise Refused(f"{report} is no mapper's report: it has no column {', '.join(missing)}.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise Refused(f"{report} has more than one column {', '.join(twice)}.")
    return header


def _raw_rows(report: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and values of each row that is not empty."""
    with report.open("rb") as raw:
        start = raw.read(2)
    if encoding := _OTHER_ENCODINGS.get(start):
        raise Refused(f"{report} is written in {encoding}: save it as UTF-8.")
    # Bytes that are no UTF-8 come through as surrogates, so that their row can be named.
    with report.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            yield from ((reader.line_num, values) for values in reader if values)
        except csv.Error as error:
            raise Refused(
                f"{report}, line {reader.line_num}: {error}. Is it a CSV with commas and closed quotes?"
            ) from error


def _check_row(values: Sequence[str], header: Sequence[str]) -> None:
    if len(values) != len(header):
        raise RowError(f"{len(values)} values, and the header has {len(header)}")
    _check_text(values)


def _check_text(values: Sequence[str]) -> None:
    text = "".join(values)
    if "\0" in text:
        raise RowError("it holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowError(f"byte 0x{ord(text[error.start]) - 0xDC00:02x} is no UTF-8: save the file as UTF-8") from error
