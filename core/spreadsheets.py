"""Rows of an Excel workbook (.xlsx), read as a stream and bounded: what is packed small may unpack to gigabytes."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time
from typing import Any
from xml.etree.ElementTree import ParseError

MAX_UNPACKED = 200_000_000
"""Bytes of all parts of a workbook."""
MAX_STRINGS = 60_000_000
"""Bytes of the part that a reader holds in memory: the texts of all cells, each once."""
MAX_OTHER = 500_000
"""Bytes of each other part that is read as a whole: a megabyte of styles takes openpyxl ten seconds."""
_STRINGS, _SHEETS, _NOT_READ = "sharedstrings.xml", "xl/worksheets/", ("xl/media/", "xl/drawings/", "docProps/")
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    ParseError,
    KeyError,
    ValueError,
    TypeError,
    OSError,
    EOFError,
    AttributeError,
    IndexError,
)
"""What openpyxl and zipfile raise for a damaged or encrypted workbook."""


class NotASpreadsheet(Exception):
    """Not a workbook, a damaged one, or one that is too large; the text says which."""


def is_zip(data: bytes) -> bool:
    """Whether this may be a workbook of today's Excel."""
    return data.startswith(b"PK\x03\x04")


def is_old_excel(data: bytes) -> bool:
    """Whether this is a workbook of Excel before 2007, or one with a password."""
    return data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


class SheetRows:
    """The rows of the first sheet that has any, without empty ones. Each iteration reads the workbook again."""

    def __init__(self, data: bytes, max_columns: int) -> None:
        self._data, self._max_columns = data, max_columns
        self.title = ""
        _ensure_small(data)
        try:
            with closing(self._open()) as book:
                titles = [sheet.title for sheet in book.worksheets]
        except _FAULTS as error:
            raise NotASpreadsheet("This is a ZIP file without an Excel workbook (.xlsx). Unpack it.") from error
        for title in titles:
            self.title = title
            if next(iter(self), None) is not None:
                break

    def __iter__(self) -> Iterator[list[str]]:
        """Each row as texts, as a spreadsheet shows them. Raises NotASpreadsheet."""
        try:
            with closing(self._open()) as book:
                sheet = book[self.title]
                # Some programs write a wrong size.
                sheet.reset_dimensions()
                for row in sheet.iter_rows(max_col=self._max_columns, values_only=True):
                    cells = [_cell_text(cell) for cell in row]
                    # Rows come with as many columns as are asked for.
                    while cells and not cells[-1]:
                        del cells[-1]
                    if cells:
                        yield cells
        except _FAULTS as error:
            raise NotASpreadsheet(
                f"The workbook is damaged ({type(error).__name__}). Save it again, or as CSV."
            ) from error

    def _open(self) -> Any:  # noqa: ANN401 - openpyxl has no types
        import openpyxl

        return openpyxl.load_workbook(io.BytesIO(self._data), read_only=True, data_only=True, keep_links=False)


def _ensure_small(data: bytes) -> None:
    """Parts that unpack to more than they declare end there: zipfile reads no further."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = {part.filename: part.file_size for part in archive.infolist()}
    except _FAULTS as error:
        raise NotASpreadsheet("The workbook is damaged. Save it again, or as CSV.") from error
    limits = {
        name: MAX_STRINGS if name.lower().endswith(_STRINGS) else MAX_OTHER
        for name in sizes
        if not name.startswith((_SHEETS, *_NOT_READ))
    }
    if sum(sizes.values()) > MAX_UNPACKED or any(sizes[name] > limit for name, limit in limits.items()):
        raise NotASpreadsheet(
            "The workbook unpacks to too many bytes. Copy the column with the ids into a new one, or save it as CSV."
        )


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value).strip()
