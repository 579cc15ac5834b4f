"""Reads CSV files in every shape that spreadsheets give them; errors name the line, and say what to do.

A byte order mark decides the encoding; a line `sep=;`, or the header, decides the delimiter. Empty rows and columns
without a name at the end are passed over, missing cells at the end of a row are empty, any line ends will do, and a cell may have
any length within a row of `MAX_ROW_LENGTH`.
"""

from __future__ import annotations

import codecs
import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO

from core.exceptions import OperationRefused
from core.formatting import printable

DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("cp1252", "mac_roman", "latin-1", "cp437")
"""What a file that is not UTF-8 most often is, in this order."""
_MAX_CELL_LENGTH = 2**31 - 1
MAX_ROW_LENGTH = 32_000_000
"""Characters of a row with its line ends: a file of nothing but separators needs eight times as many bytes to be read."""
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A spreadsheet that saves such a file again may pad this line with its delimiter.
_SEPARATOR_LINE = re.compile(r'"?sep=([^"])"?[,;\t]*', re.IGNORECASE)
_USUAL = frozenset("àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßœšžÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝŒŠŽ‘’“”–—…•€£°«»§©®½¼±×·\xa0")  # noqa: RUF001
_EXCERPT_LENGTH = 15
_MAX_NAMED = 10
"""Columns in an error."""
_SAMPLE_LENGTH = 10_000
"""Bytes by which the likeliest encoding is found."""


class RowError(OperationRefused):
    """A row can't be read."""


class CsvFormat(NamedTuple):
    """How a file is to be read, where it does not say so itself."""

    delimiter: str | None = None
    encoding: str | None = None
    """Of a file without a byte order mark; one that holds valid UTF-8 is read as that, because no other text looks like it."""


AS_FOUND = CsvFormat()
"""The file says it all."""


@dataclass
class Table:
    """A CSV file: its columns, and its rows, to be read once."""

    path: Path
    columns: list[str]
    """Without empty ones at the end; known names in our spelling."""
    empty_columns: int = 0
    """How many columns without a name are at the end."""
    empty_rows: int = 0
    """How many rows without a value were read so far."""
    short_rows: list[int] = field(default_factory=list)
    """The lines of the rows so far whose last cells are missing."""
    _rows: Iterator[tuple[int, list[str]]] = field(default_factory=lambda: iter(()))

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line and values of each row that is not empty; a value for each column, or more: see `validate_row`."""
        width = len(self.columns)
        for line, values in self._rows:
            if not any(map(str.strip, values)):
                self.empty_rows += 1
                continue
            if len(values) < width:
                self.short_rows.append(line)
            extra = values[width:]
            yield line, values if any(map(str.strip, extra)) else [*values[:width], *[""] * (width - len(values))]


def open_table(
    path: Path, required: Sequence[str], kind: str, *, known: Iterable[str] = (), form: CsvFormat = AS_FOUND
) -> Table:
    """Opens the file and reads its header. `known`: names that are found in any case and spacing, too, as `required` are.

    Raises OperationRefused if it can't be read, a required column is missing, or a column occurs twice.
    """
    try:
        encoding = _encoding(path, form)
        # A line such as `sep=;` may stand before the header.
        with _open_text(path, encoding) as file:
            separator = _SEPARATOR_LINE.fullmatch(file.readline(100).rstrip("\r\n"))
        stated, skipped = (separator[1], 1) if separator else ("", 0)
        delimiter = form.delimiter or stated or _guess_delimiter(path, encoding, skipped, required)
    except OSError as error:
        raise OperationRefused(f"Could not read {path}: {error.strerror}.") from error
    rows = _parse(path, encoding, delimiter, skipped)
    _, header = next(rows, (0, list[str]()))
    if "\0" in "".join(header):
        raise OperationRefused(f"{path} is not text in UTF-8. If it is UTF-16: use --encoding utf-16-le or utf-16-be.")
    try:
        validate_text(header)
    except RowError as error:
        raise OperationRefused(f"{path}, header: {error}") from error
    names = _named(header, [*required, *known])
    columns = names[: max((number for number, name in enumerate(names, 1) if name), default=0)]
    if missing := [name for name in required if name not in columns]:
        hint = f" Its header has no {delimiter!r}: use --delimiter." if len(header) == 1 else ""
        raise OperationRefused(f"{path} is not a {kind}: column {', '.join(missing)} is missing.{hint}")
    if repeated := sorted(name for name, number in Counter(columns).items() if name and number > 1):
        raise OperationRefused(f"{path} has more than one column {', '.join(map(printable, repeated[:_MAX_NAMED]))}.")
    return Table(path, columns, len(names) - len(columns), _rows=rows)


def validate_row(values: Sequence[str], columns: Sequence[str]) -> None:
    """Raises RowError unless there is a value for each column, and all can be stored."""
    if len(values) != len(columns):
        raise RowError(f"{len(values)} values, but {len(columns)} columns in the header")
    validate_text(values)


def validate_text(values: Sequence[str]) -> None:
    """Raises RowError for text that a database can't store."""
    for text in values:
        if "\0" in text:
            raise RowError("contains a NUL character")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            excerpt = text[max(0, error.start - _EXCERPT_LENGTH) : error.start + _EXCERPT_LENGTH]
            raw = excerpt.encode(errors="surrogateescape")
            byte = ord(text[error.start]) - 0xDC00
            raise RowError(
                f"byte 0x{byte:02x} is not UTF-8: {_encoding_hint(raw)}, or save the file as UTF-8"
            ) from error


def _encoding(path: Path, form: CsvFormat) -> str:
    with path.open("rb") as raw:
        start = raw.read(4)
        for mark, encoding in _BYTE_ORDER_MARKS:
            if start.startswith(mark):
                return encoding
        if form.encoding is None:
            return "utf-8"
        # Valid UTF-8 that holds more than ASCII is UTF-8, whatever the form says.
        decoder, is_ascii = codecs.getincrementaldecoder("utf-8")(), True
        try:
            for chunk in chain([start], iter(lambda: raw.read(1 << 16), b"")):
                is_ascii = is_ascii and chunk.isascii()
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return form.encoding
    return form.encoding if is_ascii else "utf-8"


@contextmanager
def _open_text(path: Path, encoding: str) -> Iterator[TextIO]:
    # Bytes that are not UTF-8 become surrogates, so that the error can name their row.
    errors = "surrogateescape" if encoding in ("utf-8", "utf-8-sig") else "strict"
    try:
        with path.open(encoding=encoding, errors=errors, newline="") as file:
            yield file
    except UnicodeError as error:
        raw = path.read_bytes()[:1_000_000] if encoding not in ("utf-16", "utf-32") else b""
        hint = f": {_encoding_hint(raw, encoding)}" if raw else "; it may be cut off"
        raise OperationRefused(f"{path} is not valid {encoding}{hint}.") from error


def _guess_delimiter(path: Path, encoding: str, skipped: int, required: Sequence[str]) -> str:
    """The only one with which the header has the required columns; a comma if there is none."""
    fitting = []
    for delimiter in DELIMITERS:
        try:
            _, header = next(_parse(path, encoding, delimiter, skipped), (0, list[str]()))
        except OperationRefused:
            continue
        if set(required) <= set(_named(header, required)):
            fitting.append(delimiter)
    return fitting[0] if len(fitting) == 1 else ","


def _parse(path: Path, encoding: str, delimiter: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Line number and values of each row, empty lines aside; the first row is one with a value."""
    is_first = True
    with _open_text(path, encoding) as file:
        for _ in range(skipped):
            file.readline()
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            start = reader.line_num + skipped + 1
            lines.left = MAX_ROW_LENGTH
            # The limit belongs to the whole process.
            limit = csv.field_size_limit(_MAX_CELL_LENGTH)
            try:
                values = next(reader, None)
            except RowError as error:
                raise OperationRefused(f"{path}, line {start}: {error}") from error
            except csv.Error as error:
                at, text = reader.line_num + skipped, f"{error}."
                if "unexpected end of data" in text:
                    at, text = start, "a quote is opened in this row and never closed."
                elif "expected after" in text:
                    text = "there is text behind a closing quote. Quotes inside a cell are doubled."
                raise OperationRefused(f"{path}, line {at}: {text}") from error
            finally:
                csv.field_size_limit(limit)
            if values is None:
                return
            if values and not (is_first and not any(map(str.strip, values))):
                is_first = False
                yield reader.line_num + skipped, values


class _Lines:
    """The lines of a file; a row can't take more than `left` characters of them."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.left = MAX_ROW_LENGTH

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(self.left + 1):
            self.left -= len(line)
            if self.left < 0:
                raise RowError(
                    f"a row of more than {MAX_ROW_LENGTH:,} characters. Is it CSV, and is each quote closed?"
                )
            yield line


def _named(header: Sequence[str], known: Iterable[str]) -> list[str]:
    """The names of the header: known ones in our spelling, others without spaces at their ends."""
    spellings = {_plain(name): name for name in known}
    return [spellings.get(_plain(name), name.strip()) for name in header]


def _plain(name: str) -> str:
    """A name without case, spaces, underscores and invisible characters."""
    letters = (letter for letter in name.casefold() if letter != "_" and not letter.isspace())
    return "".join(letter for letter in letters if unicodedata.category(letter) != "Cf")


def _encoding_hint(raw: bytes, wrong: str = "") -> str:
    """The encodings that fit, the likeliest first, with what a part of the text is in each."""
    at = next((index for index, byte in enumerate(raw) if byte > 127), 0)
    part = raw[max(0, at - _EXCERPT_LENGTH) : at + _EXCERPT_LENGTH]
    sample = slice(max(0, at - _EXCERPT_LENGTH), at + _SAMPLE_LENGTH)
    scores, readings = dict[str, int](), dict[str, str]()
    for encoding in ENCODINGS:
        with suppress(UnicodeDecodeError):
            score, reading = _plausibility(raw.decode(encoding)[sample]), part.decode(encoding)
            if encoding != wrong and reading not in readings.values():
                scores[encoding], readings[encoding] = score, reading
    likely = sorted(scores, key=lambda encoding: -scores[encoding])
    fitting = [encoding for encoding in likely if scores[encoding] > 0 or encoding == likely[0]]
    return "use --encoding " + " or ".join(f"{encoding} ({readings[encoding]!r})" for encoding in fitting)


def _plausibility(text: str) -> int:
    """How much it looks like a text in a language of Western Europe."""
    score = 0
    for before, letter, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        if not letter.isascii():
            # Capitals stand at the beginning of words, or among others.
            odd_capital = letter.isupper() and before.isalpha() and (before.islower() or after.islower())
            score += 1 if letter in _USUAL and not odd_capital else -2
    return score
