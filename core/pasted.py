"""What people paste into a search box: paths, FASTA headers, quoted cells, text with characters that nobody sees."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

MAX_TERMS = 8
_QUOTES = (
    "\"'`\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}\N{DOUBLE LOW-9 QUOTATION MARK}"
    "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}\N{SINGLE LOW-9 QUOTATION MARK}"
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*/")
_ENDING = re.compile(r"(?<=[^/\\])(\.[A-Za-z]{2,5}(\.gz)?|\.gz)$")
_SEPARATOR = re.compile(r"[/\\]")


def clean(text: str) -> str:
    """The first line, without quotes around it, and without invisible characters: byte order marks, zero-width spaces,
    directional marks. A no-break space is a space."""
    visible = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    line = next((line.strip() for line in visible.splitlines() if line.strip()), "")
    # A cell of a spreadsheet's row.
    line = " ".join(line.partition("\t")[0].replace("\0", "").split())
    while line and line[0] in _QUOTES:
        line = line.strip(_QUOTES).strip()
    return line


def spellings(text: str) -> list[str]:
    """The text as it is, composed (NFC) and decomposed (NFD, as a Mac writes file names)."""
    return list(dict.fromkeys([text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)]))


def search_terms(text: str) -> list[str]:
    """What to search for, the likeliest first: the text itself, what follows folders, the id of a FASTA header, the name of a
    file without its ending."""
    whole = clean(text)
    terms = [whole]
    if whole.startswith(">"):
        terms = [whole[1:].strip(), *_parts_of_header(whole[1:].strip())]
    elif "|" in whole:
        terms += _parts_of_header(whole)
    if _SEPARATOR.search(whole):
        if url := _URL.match(whole):
            terms += [whole[url.end() :], unquote(whole[url.end() :])]
        name = _SEPARATOR.split(whole.rstrip("/\\"))[-1]
        terms += [name, unquote(name)] if "://" in whole else [name]
    bare = [_ENDING.sub("", term) for term in terms if _ENDING.search(term)]
    terms += [*bare, *(_SEPARATOR.split(term)[-1].partition(".")[0] for term in bare)]
    return [term for term in dict.fromkeys(terms) if term][:MAX_TERMS]


def _parts_of_header(header: str) -> list[str]:
    """`GPAS_SP3|id description`: the first word, and its parts, the last one first."""
    words = header.split()
    parts = words[0].split("|") if words else []
    # The first of two is the same for all samples.
    return [*words[:1], *reversed(parts[1:] if len(parts) == 2 else parts)]
