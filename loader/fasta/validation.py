"""All faults of a rejected FASTA file, each with its line, so that its sender can fix them at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO

GUID = re.compile(r"[A-Za-z0-9._~:;,+=@&()!*'$-]{1,59}")
"""Ids that findNeighbour4 stores without breaking its links (domain.md 2)."""
CAPITALS = b"ACGTURYSWKMBDHVN-"
"""IUPAC nucleotide codes, and the gap."""
NEWLINE = b"\n"
NUCLEOTIDES = CAPITALS + CAPITALS.lower()
_NOT_TEXT = bytes([0, *range(128, 256)])


def sample_id(name: str) -> str:
    """The sample id of an object: the file name up to its first dot (domain.md 3)."""
    return name.rpartition("/")[2].partition(".")[0]


def find_faults(content: bytes, name: str, prefix: str, *, strict_ids: bool) -> list[str]:
    """Every fault, in the order of the file. Reads line by line, in little memory; the texts contain no sequence."""
    if not content or content.isspace():
        return ["the file is empty"]
    broken = text_problem(content)
    return [
        *([broken] if broken else []),
        *_record_problems(content, name, prefix, strict_ids),
        *_sequence_faults(content, broken),
    ]


def text_problem(content: bytes) -> str:
    """Where the file is not text; empty if it is."""
    if (at := content.find(b"\0")) >= 0:
        return f"line {content.count(NEWLINE, 0, at) + 1} is not text: it contains a NUL (byte {at})"
    if content.isascii():
        return ""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"line {content.count(NEWLINE, 0, error.start) + 1} is not UTF-8 (byte {error.start})"
    return ""


def header_problems(header: str, name: str, prefix: str, *, strict_ids: bool) -> tuple[str, list[str]]:
    """The id in the header of a record, and its faults."""
    header_name = header.partition(" ")[0].partition("\t")[0]
    if not header_name.startswith(prefix):
        return "", [f"the header does not begin with '{prefix}': '{_shortened(header_name)}'"]
    guid = header_name.removeprefix(prefix)
    problems = []
    if not GUID.fullmatch(guid) or guid in {".", ".."}:
        problems.append(
            f"findNeighbour4 does not accept the id '{_shortened(guid)}' (1 to 59 of A-Z a-z 0-9 ._~:;,+=@&()!*'$-)"
        )
    if strict_ids and guid and guid != sample_id(name):
        problems.append(
            f"the record id is '{_shortened(guid)}', the file name says '{_shortened(sample_id(name))}': two samples mixed up?"
        )
    return guid, problems


def _record_problems(content: bytes, name: str, prefix: str, strict_ids: bool) -> Iterator[str]:  # noqa: FBT001
    headers = [(number, line[1:]) for number, line in _lines(content) if line.startswith(b">")]
    if not content.startswith(b">"):
        yield "no FASTA record: line 1 does not begin with '>'"
    if len(headers) > 1:
        yield (f"{len(headers)} records instead of one (multifasta); the second begins in line {headers[1][0]}")
    if headers:
        number, header = headers[0]
        problems = header_problems(header.decode("utf-8", "replace"), name, prefix, strict_ids=strict_ids)[1]
        yield from (f"line {number}: {problem}" for problem in problems)
        if len(headers) == 1 and not any(line for other, line in _lines(content) if other > number):
            yield "the record has no sequence"


def _sequence_faults(content: bytes, broken: str) -> Iterator[str]:
    """Bytes that are not text are reported once."""
    fine = NUCLEOTIDES + _NOT_TEXT if broken else NUCLEOTIDES
    number, first, kinds = 0, 0, set[int]()
    for at, line in _lines(content):
        if line.startswith(b">"):
            continue
        if wrong := line.translate(None, fine):
            number, first = number + len(wrong), first or at
            kinds.update(wrong)
    if number:
        named = ", ".join(repr(chr(byte)) for byte in sorted(kinds)[:10])
        yield f"{number} characters are not IUPAC nucleotide codes or gaps: {named}, first in line {first}"


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, line.rstrip(b"\r\n")) for number, line in enumerate(BytesIO(content), 1))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
