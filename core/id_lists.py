"""Lists of ids as people have them: lines, CSV, TSV, a sample sheet or Excel, of which one column is read.

A list is bounded in bytes, rows and columns, and read again for each use instead of being held as cells.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from core.exceptions import OperationRefused
from core.formatting import printable
from core.pasted import clean, search_terms, spellings
from core.spreadsheets import NotASpreadsheet, SheetRows, is_old_excel, is_zip

MAX_IDS = 100_000
MAX_BYTES = 20_000_000
MAX_COLUMNS = 200
MAX_ID_LENGTH = 1000
MAX_DIGITS = 9
"""Of the number of a column."""
HEAD_ROWS = 10
"""Rows that are shown when a column has to be chosen."""
_DELIMITERS = ("\t", ";", ",", "|")
"""The last one only if the file names it."""
_SAMPLED_LINES = 50
_SAMPLED_LETTERS = 2000
"""Of each of these lines: all together less than the csv module's longest cell."""
_SECTION_ROWS = 500
"""Rows within which the data section of a sample sheet begins."""
_DATA_SECTION = re.compile(r"\[\w*data\]", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9_~-]+")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]")
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class UnreadableList(OperationRefused):
    """The list can't be read; the text says why, and what to do."""


class ColumnNeeded(UnreadableList):
    """The list has several columns, and none is named like one of ids."""


@dataclass(frozen=True)
class IdList:
    """The ids of a list, each once, in the order of the list."""

    ids: list[str]
    repeated: int
    """How many more there were of the same."""
    source: str
    """What was read: `CSV, column 'guid'`."""


@dataclass(frozen=True)
class IdTable:
    """A list as rows of cells."""

    form: str
    """`lines`, `CSV`, `TSV`, `Excel, sheet 'runs'`."""
    head: list[list[str]]
    """Its first rows."""
    rows: Callable[[], Iterator[list[str]]]
    """Reads all rows that are not empty."""

    @property
    def width(self) -> int:
        """Columns of the first rows."""
        return max(map(len, self.head), default=0)

    @property
    def has_header(self) -> bool:
        """Whether the first row looks like headings: it has no digits, and a row below has."""
        first, rest = self.head[0] if self.head else [], self.head[1:]
        words = [cell for cell in first if cell]
        return bool(words) and not _has_digit(words) and any(map(_has_digit, rest))

    def guess_column(self, names: Sequence[str]) -> tuple[int, bool] | None:
        """The place of the column of ids, and whether the first row is a heading; None if that is not clear.

        `names` are what such columns are called, the likeliest first, in lower case without spaces and signs.
        """
        headings = [_plain_name(cell) for cell in (self.head[0] if self.head else [])]
        for name in names:
            if name in headings:
                return headings.index(name), True
        return (0, False) if self.width <= 1 else None

    def find_column(self, wanted: str, names: Sequence[str]) -> tuple[int, bool]:
        """The same for a column that is named by its heading, or by its number from 1. Raises UnreadableList."""
        first = self.head[0] if self.head else []
        for spelling in (str.strip, _plain_name):
            headings = [spelling(cell) for cell in first]
            if spelling(wanted) and spelling(wanted) in headings:
                return headings.index(spelling(wanted)), True
        if wanted.isdecimal() and len(wanted) <= MAX_DIGITS and 1 <= int(wanted) <= self.width:
            known = self.guess_column(names)
            return int(wanted) - 1, bool(known and known[1]) or self.has_header
        raise UnreadableList(f"There is no column '{printable(wanted[:100])}'. {self.columns_text}")

    @property
    def columns_text(self) -> str:
        """The columns in a sentence."""
        cells = [printable(cell[:40]) or "(empty)" for cell in (self.head[0] if self.head else [])[:20]]
        more = ", …" if self.width > len(cells) else ""
        return f"Columns: {', '.join(cells)}{more}."

    def ids(self, place: int, *, header: bool) -> IdList:
        """The ids of a column. Raises UnreadableList: there are none, or too many."""
        found: dict[str, None] = {}
        number = 0
        for row in islice(self.rows(), int(header), None):
            cell = row[place] if place < len(row) else ""
            text = cell if _PLAIN.fullmatch(cell) else clean(cell)
            if not text:
                continue
            number += 1
            if number > MAX_IDS:
                raise UnreadableList(f"The list has more than {MAX_IDS:,} ids. Split it.")
            found[text[:MAX_ID_LENGTH]] = None
        if not found:
            raise UnreadableList("The list has no ids: it is empty, or another column has them.")
        heading = self.head[0][place] if header and place < len(self.head[0]) else str(place + 1)
        source = f"{self.form}, column '{printable(heading[:100])}'" if self.width > 1 or header else self.form
        return IdList(list(found), number - len(found), source)

    def choose_ids(self, names: Sequence[str], column: str = "") -> IdList:
        """The ids of the column that is named, or guessed. Raises UnreadableList."""
        guess = self.find_column(column, names) if column else self.guess_column(names)
        if guess is None:
            raise ColumnNeeded(f"The list has {self.width} columns: name the one with the ids. {self.columns_text}")
        return self.ids(guess[0], header=guess[1])


def read_table(file: BinaryIO) -> IdTable:
    """What the file holds. Raises UnreadableList: it is too large, or neither text nor Excel."""
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnreadableList(f"The list is larger than {MAX_BYTES // 1_000_000} MB. Keep only the column with the ids.")
    if is_old_excel(data):
        raise UnreadableList(
            "This is a workbook of an old Excel (.xls), or one with a password. Save it as .xlsx or CSV."
        )
    if is_zip(data):
        try:
            sheet = SheetRows(data, MAX_COLUMNS)
        except NotASpreadsheet as error:
            raise UnreadableList(str(error)) from error
        return _table(f"Excel, sheet '{printable(sheet.title)}'", lambda: _sheet_rows(sheet))
    try:
        text = data.decode(_BOMS.get(data[:2], "utf-8-sig"))
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if "\0" in text:
        raise UnreadableList("This is neither text nor an Excel workbook (.xlsx). Save it as CSV.")
    lines = list(islice((line for line in text.splitlines() if line.strip()), _SAMPLED_LINES))
    delimiter = _delimiter(lines)
    if not delimiter:
        return _table("lines", lambda: ([line] for line in text.splitlines() if line.strip()))
    form = "TSV" if delimiter == "\t" else "CSV"
    if len(lines) == 1 and not lines[0].startswith("sep="):
        return _table("one line", lambda: ([cell] for row in _csv_rows(text, delimiter, None) for cell in row if cell))
    return _table(form, lambda: _csv_rows(text, delimiter))


def id_terms(text: str) -> list[str]:
    """What an id of a list may be known as, the likeliest first: see `core.pasted.search_terms`."""
    if _PLAIN.fullmatch(text):
        return [text]
    terms = search_terms(text)
    return terms if text.isascii() else list(dict.fromkeys(form for term in terms for form in spellings(term)))


def _table(form: str, rows: Callable[[], Iterator[list[str]]]) -> IdTable:
    def from_data() -> Iterator[list[str]]:
        return islice(rows(), skipped, None)

    # A sample sheet of a sequencer: sections, of which the last holds the data.
    skipped = 0
    for number, row in enumerate(islice(rows(), _SECTION_ROWS), 1):
        if number == 1 and not row[0].startswith("["):
            break
        if _DATA_SECTION.fullmatch(row[0].strip()):
            skipped = number
    return IdTable(form, list(islice(from_data(), HEAD_ROWS)), from_data)


def _csv_rows(text: str, delimiter: str, max_columns: int | None = MAX_COLUMNS) -> Iterator[list[str]]:
    file = io.StringIO(text, newline="")
    if text.startswith("sep="):
        file.readline()
    try:
        for row in csv.reader(file, delimiter=delimiter):
            if any(cell.strip() for cell in row):
                yield [cell.strip() for cell in row[:max_columns]]
    except csv.Error as error:
        raise UnreadableList(f"The CSV can't be read: {error}.") from error


def _sheet_rows(sheet: SheetRows) -> Iterator[list[str]]:
    try:
        yield from sheet
    except NotASpreadsheet as error:
        raise UnreadableList(str(error)) from error


def _delimiter(lines: Sequence[str]) -> str:
    """What separates the cells of these lines; empty: each line is one."""
    if not lines:
        return ""
    if lines[0].startswith("sep=") and lines[0][4:5] in _DELIMITERS:
        return lines[0][4]
    if lines[0].startswith("["):
        return ","
    for delimiter in _DELIMITERS[:3]:
        # A cell may have line ends; long lines are cut, as only the number of cells matters.
        rows = csv.reader((f"{line[:_SAMPLED_LETTERS]}\n" for line in lines), delimiter=delimiter)
        widths = [len(row) for row in rows]
        alike = sum(width == widths[0] for width in widths)
        if widths[0] > 1 and alike >= 0.9 * len(widths):
            return delimiter
    return ""


def _plain_name(cell: str) -> str:
    return _NOT_IN_NAMES.sub("", cell.lower())


def _has_digit(cells: Iterable[str]) -> bool:
    return any(letter.isdigit() for cell in cells for letter in cell)
