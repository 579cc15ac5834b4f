"""All that is wrong with a FASTA file that can't be loaded, each fault with its line: what its sender must know at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO

GUID = re.compile(r"[A-Za-z0-9._~:;,+=@&()!*'$-]{1,59}")
"""Ids that findNeighbour4 stores without breaking its own links (domain.md 2)."""
CAPITALS = b"ACGTURYSWKMBDHVN-"
"""IUPAC nucleotide codes, and the gap."""
NUCLEOTIDES = CAPITALS + CAPITALS.lower()
_NO_TEXT = bytes([0, *range(128, 256)])


def sample_id(name: str) -> str:
    """The sample id of an object: the file name up to its first dot (domain.md 3)."""
    return name.rpartition("/")[2].partition(".")[0]


def find_faults(content: bytes, name: str, prefix: str, *, strict_ids: bool) -> list[str]:
    """Every fault in words, in the order of the file. Reads line by line, in little memory; holds no sequence."""
    if not content or content.isspace():
        return ["the file is empty"]
    broken = text_problem(content)
    return [
        *([broken] if broken else []),
        *_record_problems(content, name, prefix, strict_ids),
        *_sequence_faults(content, broken),
    ]


def text_problem(content: bytes) -> str:
    """Where the file is no text; empty if it is."""
    if (at := content.find(b"\0")) >= 0:
        return f"line {_line(content, at)} is no text: it holds a NUL (byte {at})"
    if content.isascii():
        return ""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"line {_line(content, error.start)} is no UTF-8 text (byte {error.start})"
    return ""


def header_problems(header: str, name: str, prefix: str, *, strict_ids: bool) -> tuple[str, list[str]]:
    """The id that a record's name holds, and what is wrong with it."""
    said = header.partition(" ")[0].partition("\t")[0]
    if not said.startswith(prefix):
        return "", [f"the record's name does not begin with '{prefix}': '{_shortened(said)}'"]
    guid = said.removeprefix(prefix)
    problems = []
    if not GUID.fullmatch(guid) or guid in {".", ".."}:
        problems.append(
            f"findNeighbour4 can't take the id '{_shortened(guid)}' (1 to 59 of A-Z a-z 0-9 ._~:;,+=@&()!*'$-)"
        )
    if strict_ids and guid and guid != sample_id(name):
        problems.append(
            f"the record is of '{_shortened(guid)}', the file of '{_shortened(sample_id(name))}': two samples mixed up?"
        )
    return guid, problems


def _record_problems(content: bytes, name: str, prefix: str, strict_ids: bool) -> Iterator[str]:  # noqa: FBT001
    headers = [(number, line[1:]) for number, line in _lines(content) if line.startswith(b">")]
    if not content.startswith(b">"):
        yield "there is no FASTA record: line 1 does not begin with '>'"
    if len(headers) > 1:
        yield (
            f"there are {len(headers)} records, and a file must hold one (multifasta); "
            f"the second begins in line {headers[1][0]}"
        )
    if headers:
        number, header = headers[0]
        problems = header_problems(header.decode("utf-8", "replace"), name, prefix, strict_ids=strict_ids)[1]
        yield from (f"line {number}: {problem}" for problem in problems)
        if len(headers) == 1 and not any(line for other, line in _lines(content) if other > number):
            yield "the record has no sequence"


def _sequence_faults(content: bytes, broken: str) -> Iterator[str]:
    """What is said of bytes that are no text is not said again."""
    fine = NUCLEOTIDES + _NO_TEXT if broken else NUCLEOTIDES
    number, first, kinds = 0, 0, set[int]()
    for at, line in _lines(content):
        if line.startswith(b">"):
            continue
        if wrong := line.translate(None, fine):
            number, first = number + len(wrong), first or at
            kinds.update(wrong)
    if number:
        named = ", ".join(repr(chr(byte)) for byte in sorted(kinds)[:10])
        yield f"{number} letters are no IUPAC nucleotide code or gap: {named}, first in line {first}"


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, line.rstrip(b"\r\n")) for number, line in enumerate(BytesIO(content), 1))


def _line(content: bytes, at: int) -> int:
    return content.count(b"\n", 0, at) + 1


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
