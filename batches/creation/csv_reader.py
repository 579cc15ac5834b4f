"""CSV files as they are found: a byte order mark, CRLF and empty lines are fine, and what is wrong is named with its line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.exceptions import OperationRefused

_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class RowError(OperationRefused):
    """A row can't be taken as it is."""


def read_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line number and values of each row that is not empty. Raises OperationRefused for what is no such CSV in UTF-8."""
    try:
        with path.open("rb") as raw:
            start = raw.read(2)
    except OSError as error:
        raise OperationRefused(f"{path} can't be read: {error.strerror}.") from error
    if encoding := _OTHER_ENCODINGS.get(start):
        raise OperationRefused(f"{path} is written in {encoding}: save it as UTF-8.")
    # Bytes that are no UTF-8 come through as surrogates, so that their row can be named.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            yield from ((reader.line_num, values) for values in reader if values)
        except csv.Error as error:
            wanted = {",": "commas", "\t": "tabs"}.get(delimiter, repr(delimiter))
            raise OperationRefused(
                f"{path}, line {reader.line_num}: {error}. Is it a CSV with {wanted} and closed quotes?"
            ) from error


def read_header(path: Path, of: Iterator[tuple[int, list[str]]], required: Sequence[str], what: str) -> list[str]:
    """The first row. Raises OperationRefused when a required column is missing, or one stands twice."""
    _, found = next(of, (0, []))
    try:
        validate_text(found)
    except RowError as error:
        raise OperationRefused(f"{path}, header: {error}") from error
    missing = [name for name in required if name not in found]
    if missing:
        raise OperationRefused(f"{path} is no {what}: it has no column {', '.join(missing)}.")
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise OperationRefused(f"{path} has more than one column {', '.join(twice)}.")
    return found


def validate_row(values: Sequence[str], columns: Sequence[str]) -> None:
    """Raises RowError unless it has a value for each column, and all can be stored."""
    if len(values) != len(columns):
        raise RowError(f"{len(values)} values, and the header has {len(columns)}")
    validate_text(values)


def validate_text(values: Sequence[str]) -> None:
    """Raises RowError for what no database holds."""
    text = "".join(values)
    if "\0" in text:
        raise RowError("it holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowError(f"byte 0x{ord(text[error.start]) - 0xDC00:02x} is no UTF-8: save the file as UTF-8") from error
