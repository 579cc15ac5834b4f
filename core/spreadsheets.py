"""Rows of an Excel workbook (.xlsx), read as a stream and bounded: what is packed small may unpack to gigabytes.

Only the parts that hold cells are read, none of them as a tree. Cells are texts as they are stored, so dates are numbers.
"""

from __future__ import annotations

import io
import lzma
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from typing import Generic, NoReturn, TypeVar
from xml.parsers import expat

MAX_SHEET = 200_000_000
"""Bytes of a sheet that is read."""
MAX_TEXTS = 60_000_000
"""Bytes of the part that is held in memory: the texts of all cells, each once."""
MAX_DIRECTORY = 1_000_000
"""Bytes of each part that says where the others are."""
MAX_SHEETS = 20
"""Sheets that are looked into for the first one with rows."""
MAX_CELL = 32_767
"""Characters of a cell, as in Excel; what follows is left out."""
MAX_TITLE = 31
_CHUNK_SIZE = 1 << 16
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    expat.ExpatError,
    LookupError,
    ValueError,
    OSError,
    EOFError,
    RuntimeError,
)
"""What zipfile and expat raise for a damaged or encrypted workbook."""


Item = TypeVar("Item")


class NotASpreadsheet(Exception):
    """Not a workbook, a damaged one, or one that is too large; the text says which."""


def is_zip(data: bytes) -> bool:
    """Whether this may be a workbook of today's Excel."""
    return data.startswith(b"PK\x03\x04")


def is_old_excel(data: bytes) -> bool:
    """Whether this is a workbook of Excel before 2007, or one with a password."""
    return data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


class SheetRows:
    """The rows of the first sheet that has any, without empty ones. Each iteration reads the sheet again."""

    def __init__(self, data: bytes, max_columns: int) -> None:
        self._max_columns = max_columns
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
            self._open_workbook()
        except _FAULTS as error:
            raise NotASpreadsheet(_damaged(error)) from error

    def _open_workbook(self) -> None:
        book = next((path for _, kind, path in self._links("") if kind == "officeDocument"), "")
        if not book:
            raise NotASpreadsheet("This is a ZIP file without an Excel workbook (.xlsx). Unpack it.")
        links = self._links(book)
        paths = {key: path for key, kind, path in links if kind == "worksheet"}
        titles = [(title, paths[key]) for title, key in self._titles(book) if key in paths]
        texts = next((path for _, kind, path in links if kind == "sharedStrings"), "")
        self._texts = list(_read(self._archive, texts, _Texts(), MAX_TEXTS)) if texts else []
        for title, path in titles[:MAX_SHEETS]:
            self.title, self._path = title, path
            if next(iter(self), None) is not None:
                return
        if not titles:
            raise NotASpreadsheet("The workbook has no sheet with cells.")

    def __iter__(self) -> Iterator[list[str]]:
        """Each row as texts. Raises NotASpreadsheet."""
        try:
            yield from _read(self._archive, self._path, _Rows(self._texts, self._max_columns), MAX_SHEET)
        except _FAULTS as error:
            raise NotASpreadsheet(_damaged(error)) from error

    def _links(self, part: str) -> list[tuple[str, str, str]]:
        """Key, kind and path of what a part links to; of "" the workbook."""
        folder, name = posixpath.split(part)
        path = posixpath.join(folder, "_rels", f"{name}.rels")
        if path not in self._archive.namelist():
            return []
        links = _read(self._archive, path, _Attributes("Relationship"), MAX_DIRECTORY)
        return [
            (link["Id"], link["Type"].rpartition("/")[2], posixpath.normpath(posixpath.join("/", folder, link["Target"]))[1:])
            for link in links
        ]  # fmt: skip

    def _titles(self, book: str) -> list[tuple[str, str]]:
        sheets = _read(self._archive, book, _Attributes("sheet"), MAX_DIRECTORY)
        return [
            (sheet["name"][:MAX_TITLE], next(value for name, value in sheet.items() if name.endswith(":id")))
            for sheet in sheets
        ]


class _Reader(Generic[Item]):
    """What is made of the elements of a part; `found` is taken away as it fills."""

    def __init__(self) -> None:
        self.found: list[Item] = []
        self.reading = False
        self.text = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins; its name is without a prefix."""

    def end(self, tag: str) -> None:
        """An element ends."""

    def characters(self, text: str) -> None:
        """Some text of an element."""
        if self.reading and len(self.text) < MAX_CELL:
            self.text += text


class _Attributes(_Reader[dict[str, str]]):
    """The attributes of each element of one name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == self._name:
            self.found.append(attributes)


class _Texts(_Reader[str]):
    """The shared texts: of several formatted parts each, without how they are pronounced."""

    pronounced = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:  # noqa: ARG002 - the same for all readers
        if tag == "si":
            self.text = ""
        elif tag == "rPh":
            self.pronounced = True
        elif tag == "t":
            self.reading = not self.pronounced

    def end(self, tag: str) -> None:
        self.reading = False
        if tag == "si":
            self.found.append(self.text[:MAX_CELL])
        elif tag == "rPh":
            self.pronounced = False


class _Rows(_Reader[list[str]]):
    """The rows of a sheet that are not empty."""

    def __init__(self, texts: list[str], max_columns: int) -> None:
        super().__init__()
        self._texts, self._max_columns = texts, max_columns
        self._cells: list[str] = []
        self._place, self._kind = -1, "n"

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "c":
            place = _place(attributes.get("r", ""))
            self._place = self._place + 1 if place is None else place
            self._kind, self.text = attributes.get("t", "n"), ""
        elif tag in ("v", "t"):
            self.reading = self._place < self._max_columns
        elif tag == "row":
            self._cells, self._place = [], -1

    def end(self, tag: str) -> None:
        if tag in ("v", "t"):
            self.reading = False
        elif tag == "c" and self.text:
            self._cells += [""] * (self._place + 1 - len(self._cells))
            self._cells[self._place] = self._cell_text().strip()
        elif tag == "row" and any(self._cells):
            self.found.append(self._cells)

    def _cell_text(self) -> str:
        if self._kind == "s":
            return self._texts[int(self.text)]
        if self._kind == "b":
            return "TRUE" if self.text == "1" else "FALSE"
        if self._kind == "n" and not self.text.isdecimal():
            number = float(self.text)
            return str(int(number)) if number.is_integer() else self.text
        return self.text[:MAX_CELL]


def _read(archive: zipfile.ZipFile, path: str, reader: _Reader[Item], limit: int) -> Iterator[Item]:
    """What a part holds, piece by piece; one that unpacks to more than it declares ends there."""
    part = archive.getinfo(path)
    if part.file_size > limit:
        raise NotASpreadsheet(
            f"The workbook unpacks to more than {limit // 1_000_000} MB. Keep only the column with the ids, or save it as CSV."
        )
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: reader.start(name[name.find(":") + 1 :], attributes)
    parser.EndElementHandler = lambda name: reader.end(name[name.find(":") + 1 :])
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _refuse_doctype
    with archive.open(part) as file:
        while chunk := file.read(_CHUNK_SIZE):
            parser.Parse(chunk, False)  # noqa: FBT003 - expat's
            yield from reader.found
            reader.found.clear()
    parser.Parse(b"", True)  # noqa: FBT003


def _refuse_doctype(*_: object) -> NoReturn:
    """No program writes one, and entities are declared there."""
    raise ValueError("DOCTYPE")


def _place(reference: str) -> int | None:
    """The column of `AB12`, from 0; None: there is none."""
    number = 0
    for letter in reference[:4]:
        if not "A" <= letter <= "Z":
            break
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1 if number else None


def _damaged(error: Exception) -> str:
    return f"The workbook is damaged or encrypted ({type(error).__name__}). Save it again as .xlsx, or as CSV."
