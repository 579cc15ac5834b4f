"""All faults of a rejected FASTA file, each with its line, so that its sender can fix them at once."""

from __future__ import annotations

import re
from codecs import utf_8_decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from core.formatting import printable
from loader.fasta.names import NameRules

GUID = re.compile(r"[A-Za-z0-9._~:;,=@&()!*'$-]{1,59}")
"""Ids that findNeighbour4 stores without breaking its links, whatever its build (domain.md 2)."""
PLUS = "+"
"""Newer builds of its engine take it for a space; older ones do not."""
CAPITALS = b"ACGTRYSWKMBDHVN-"
"""All that findNeighbour4 accepts, in any case: the bases, IUPAC codes, N, and `-` for a gap (domain.md 2)."""
NUCLEOTIDES = CAPITALS + CAPITALS.lower()
RNA = b"Uu"
LAYOUT = b"\r\n\t "
"""What means nothing in a sequence."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_NAMED_LETTERS = 10
MAX_RECORDS = 1000
"""A file with more of them is rejected without a look at its letters: as a list, millions of records fill the memory."""
SLICE = 64 * 1024
"""Bytes that are decoded at a time: as characters, a text may be four times as large."""
NEWLINE = b"\n"
DESCRIPTION = re.compile(rb">\S*([\t ][^\r\n]*)")
"""What follows the id in a header."""
LIKELY_REASONS = {
    **dict.fromkeys("Uu", "RNA? The feed's setting 'RNA as DNA' loads it"),
    **dict.fromkeys("EeFfIiJjLlOoPpQqZz", "protein?"),
    **dict.fromkeys("Xx", "unknown? use N; or protein?"),
    **dict.fromkeys("*", "stop codon? protein?"),
    **dict.fromkeys("?", "unknown? use N"),
    **dict.fromkeys(".~_", "a gap? use -"),
    **dict.fromkeys("@+", "a quality string? FASTQ?"),
    **dict.fromkeys("0123456789", "positions?"),
    **dict.fromkeys("\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NO-BREAK SPACE}", "pasted from a document?"),
}


@dataclass(frozen=True)
class FastaRules:
    """How a feed reads its files."""

    prefix: str = "GPAS_SP3|"
    """Text before the sample id in a header."""
    strict_ids: bool = True
    """Whether the record's id must be that of the file name."""
    rna_as_dna: bool = False
    """Whether U is taken for T."""
    names: NameRules = field(default_factory=NameRules)
    plus_in_ids: bool = False
    """Whether ids with a + are sent: the server's engine is of the old build."""


def find_faults(content: bytes, name: str, rules: FastaRules) -> list[str]:
    """Every fault, in the order of the file; the texts contain no sequence. Needs a few copies of the file in memory."""
    text = without_mark(content)
    if not text or text.isspace():
        return ["the file is empty"]
    broken = _text_problem(text)
    text = _with_line_feeds(text)
    skipped = len(text) - len(text.lstrip())
    first_line = text.count(b"\n", 0, skipped) + 1
    text = text[skipped:]
    return [
        *([broken] if broken else []),
        *_record_faults(text, first_line, name, rules),
        *(_letter_faults(text, first_line, rules) if text.count(b"\n>") < MAX_RECORDS else []),
    ]


def without_mark(content: bytes) -> bytes:
    """The text behind a byte order mark."""
    return content.removeprefix(BYTE_ORDER_MARK) if content.startswith(BYTE_ORDER_MARK) else content


def header_problems(header: bytes, name: str, rules: FastaRules) -> tuple[str, list[str]]:
    """The id in the header of a record, and its faults. What follows the first space of a header is not read."""
    word = (header.split(None, 1) or [b""])[0]
    try:
        header_name = word.decode()
    except UnicodeDecodeError:
        header_name = word.decode("cp1252", "replace")
    if not header_name.startswith(rules.prefix):
        return "", [f"the header does not begin with '{rules.prefix}': '{_shortened(header_name)}'"]
    guid, file_id = header_name.removeprefix(rules.prefix), rules.names.sample_id(name)
    problems = [problem] if (problem := _id_problem(guid, rules)) else []
    if rules.strict_ids and guid and guid != file_id:
        other = NameRules(rules.names.endings, not rules.names.up_to_first_dot)
        which = "up to its first dot" if other.up_to_first_dot else "without its ending"
        hint = (
            f"the file name {which} says so, too: see the feed's setting 'sample id'"
            if guid == other.sample_id(name)
            else "two samples mixed up?"
        )
        problems.append(f"the record id is '{_shortened(guid)}', the file name says '{_shortened(file_id)}': {hint}")
    return guid, problems


def _id_problem(guid: str, rules: FastaRules) -> str:
    """Why the server can't take this id; empty if it can. It would store the sample, and break its links."""
    plain = guid.replace(PLUS, "_")
    if not GUID.fullmatch(plain) or guid in {".", ".."}:
        letters = "._~:;,+=@&()!*'$-" if rules.plus_in_ids else "._~:;,=@&()!*'$-"
        return f"findNeighbour4 does not accept the id '{_shortened(guid)}' (1 to 59 of A-Z a-z 0-9 {letters})"
    if PLUS in guid and not rules.plus_in_ids:
        return (
            f"the id '{guid}' has a +, which newer builds of findNeighbour4's engine take for a space: the sample would be "
            "stored without its links. Rename it, or, if the server is of an old build, set the feed's --plus-in-ids"
        )
    return ""


def _text_problem(text: bytes) -> str:
    """Where the file is not text; empty if it is. The description in the header may be in any encoding: nobody reads it."""
    if (at := text.find(b"\0")) >= 0:
        return f"line {_with_line_feeds(text[:at]).count(NEWLINE) + 1} is not text: it contains a NUL (byte {at})"
    if described := DESCRIPTION.match(text):
        start, end = described.span(1)
        text = text[:start] + b" " * (end - start) + text[end:]
    at = 0
    try:
        for _, used in _decoded(text, "strict"):
            at += used
    except UnicodeDecodeError as error:
        at += error.start
        line = _with_line_feeds(text[:at]).count(NEWLINE) + 1
        return f"line {line} is not UTF-8 (byte {at})"
    return ""


def _record_faults(text: bytes, first_line: int, name: str, rules: FastaRules) -> Iterator[str]:
    headers = [match.start() for match in islice(re.finditer(rb"(?m)^>", text), 2)]
    if not text.startswith(b">"):
        yield f"no FASTA record: line {first_line} does not begin with '>'"
    if len(headers) > 1:
        number, second = text.count(b"\n>") + text.startswith(b">"), first_line + text.count(NEWLINE, 0, headers[1])
        yield f"{number:,} records instead of one (multifasta); the second begins in line {second}"
    if headers:
        header, _, rest = text[headers[0] + 1 :].partition(NEWLINE)
        line = first_line + text.count(NEWLINE, 0, headers[0])
        yield from (f"line {line}: {problem}" for problem in header_problems(header, name, rules)[1])
        if len(headers) == 1 and (not rest or rest.isspace()):
            yield "the record has no sequence"


def _letter_faults(text: bytes, first_line: int, rules: FastaRules) -> Iterator[str]:
    """The letters that the server would refuse, each with its first line and a likely reason."""
    # Lines stay, so that their numbers do.
    sequences = re.sub(rb"(?m)^>[^\n]*", b"", text)
    wrong = sequences.translate(None, NUCLEOTIDES + LAYOUT + b"\0" + (RNA if rules.rna_as_dna else b""))
    number, first = 0, set[str]()
    for letters, _ in _decoded(wrong, "ignore"):
        number += len(letters)
        first = set(sorted(first.union(letters))[:MAX_NAMED_LETTERS])
    if not number:
        return
    kinds: dict[str, list[tuple[int, str]]] = {}
    for letter in sorted(first):
        line = first_line + sequences.count(NEWLINE, 0, sequences.find(letter.encode()))
        kinds.setdefault(LIKELY_REASONS.get(letter, ""), []).append((line, letter))
    named = ", ".join(
        f"{', '.join(repr(letter) for _, letter in found)} first in line {min(found)[0]}{f' ({reason})' if reason else ''}"
        for reason, found in kinds.items()
    )
    subject = "character is" if number == 1 else "characters are"
    yield f"{number:,} {subject} not accepted by findNeighbour4: {named}"


def _decoded(text: bytes, errors: str) -> Iterator[tuple[str, int]]:
    """Its pieces as characters, each with the number of its bytes. Raises UnicodeDecodeError, counted from the piece."""
    at = 0
    while at < len(text):
        piece = text[at : at + SLICE]
        letters, used = utf_8_decode(piece, errors, at + len(piece) == len(text))
        yield letters, used
        at += used


def _with_line_feeds(text: bytes) -> bytes:
    """Its lines end in LF; each kind of end counts as one line."""
    return text.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _shortened(text: str) -> str:
    text = printable(text)
    return text if len(text) <= 80 else text[:79] + "…"
