"""Writing files."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol, TextIO


class Writable(Protocol):
    """An open file, or what a command writes to."""

    def write(self, text: str, /) -> object:
        """Writes it."""


class CsvWriter:
    """Writes rows of a CSV with "\\n" as the line end. csv.writer does not quote a lone "\\r" if that is its line end."""

    def __init__(self, file: Writable, delimiter: str = ",") -> None:
        self._file = file
        self._writer = csv.writer(self, delimiter=delimiter)

    def write(self, line: str, /) -> object:
        """One row with its line end, from csv.writer."""
        return self._file.write(line[:-2] + "\n")

    def writerow(self, row: Iterable[object]) -> None:
        """Writes one row."""
        self._writer.writerow(row)

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Writes several rows."""
        self._writer.writerows(rows)


@contextmanager
def write_atomically(path: Path, *, modified: datetime | None = None) -> Iterator[TextIO]:
    """A text file that replaces `path` when the block ends, with this modification time; after an error `path` is unchanged.

    Readers see the old file or the whole new one. Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if modified:
            os.utime(temporary, (modified.timestamp(), modified.timestamp()))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
