"""Reads CSV files, also with a byte order mark, CRLF and empty lines. Errors name the line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.exceptions import OperationRefused

_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class RowError(OperationRefused):
    """A row can't be read."""


def read_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line number and values of each row that is not empty. Raises OperationRefused if it is not a CSV file in UTF-8."""
    try:
        with path.open("rb") as raw:
            start = raw.read(2)
    except OSError as error:
        raise OperationRefused(f"Could not read {path}: {error.strerror}.") from error
    if encoding := _OTHER_ENCODINGS.get(start):
        raise OperationRefused(f"{path} is encoded in {encoding}. Save it as UTF-8.")
    # Bytes that are not UTF-8 become surrogates, so that the error can name their row.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            yield from ((reader.line_num, values) for values in reader if values)
        except csv.Error as error:
            separator = {",": "commas", "\t": "tabs"}.get(delimiter, repr(delimiter))
            raise OperationRefused(
                f"{path}, line {reader.line_num}: {error}. Expected a CSV with {separator} and closed quotes."
            ) from error


def read_header(path: Path, rows: Iterator[tuple[int, list[str]]], required: Sequence[str], kind: str) -> list[str]:
    """The first row. Raises OperationRefused if a required column is missing, or a column occurs twice."""
    _, header = next(rows, (0, []))
    try:
        validate_text(header)
    except RowError as error:
        raise OperationRefused(f"{path}, header: {error}") from error
    missing = [name for name in required if name not in header]
    if missing:
        raise OperationRefused(f"{path} is not a {kind}: column {', '.join(missing)} is missing.")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise OperationRefused(f"{path} has more than one column {', '.join(repeated)}.")
    return header


def validate_row(values: Sequence[str], columns: Sequence[str]) -> None:
    """Raises RowError unless there is a value for each column, and all can be stored."""
    if len(values) != len(columns):
        raise RowError(f"{len(values)} values, but {len(columns)} columns in the header")
    validate_text(values)


def validate_text(values: Sequence[str]) -> None:
    """Raises RowError for text that a database can't store."""
    text = "".join(values)
    if "\0" in text:
        raise RowError("contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowError(f"byte 0x{ord(text[error.start]) - 0xDC00:02x} is not UTF-8: save the file as UTF-8") from error
