"""What a FASTA file must be to become a sample (domain.md 3), and what each failure is called."""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

GUID = re.compile(r"[A-Za-z0-9._~:;,+=@&()!*'$-]{1,59}")
"""Ids that findNeighbour4 stores without breaking its own links (domain.md 2)."""
CAPITALS = b"ACGTURYSWKMBDHVN-"
"""IUPAC nucleotide codes, and the gap."""
NUCLEOTIDES = CAPITALS + CAPITALS.lower()
SUFFIX = re.compile(r"\.(fasta|fa|fna)(\.gz)?$", re.IGNORECASE)


class NotLoadable(Exception):
    """The file can never be loaded as it is; the text says all that is wrong with it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence, ready to be sent."""

    guid: str
    sequence: bytes
    digest: str


def sample_id(name: str) -> str:
    """The sample id of an object: the file name up to its first dot (domain.md 3)."""
    return name.rpartition("/")[2].partition(".")[0]


def unpacked(content: bytes, name: str, largest: int) -> bytes:
    """The content of a file, unpacked if its name ends in `.gz`. Raises NotLoadable before more than `largest` bytes are held."""
    if not name.lower().endswith(".gz"):
        return content
    parts, size, rest = [], 0, content
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            parts.append(member.decompress(rest, largest + 1 - size))
        except zlib.error:
            raise NotLoadable("the file's name ends in .gz, and it is no whole gzip file") from None
        size += len(parts[-1])
        if size > largest:
            raise NotLoadable(f"the file unpacks to more than the {largest:,} bytes that are allowed")
        if not member.eof:
            raise NotLoadable("the gzip file breaks off before its end")
        rest = member.unused_data
    return b"".join(parts)


def first_characters(content: bytes) -> str:
    """How a file begins, in at most 128 characters that any database can hold."""
    return content[:128].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")[:128]


def read_sample(content: bytes, name: str, prefix: str, *, strict_ids: bool) -> Sample:
    """The one sample in a FASTA file; raises NotLoadable with everything that is wrong."""
    header, sequence = _only_record(content)
    guid, problems = _guid(header, prefix)
    if strict_ids and guid and guid != sample_id(name):
        problems.append(
            f"the record is of '{_short(guid)}', the file of '{_short(sample_id(name))}': two samples mixed up?"
        )
    if sequence and not sequence.translate(None, CAPITALS):
        same = sequence  # the usual case: millions of letters are neither copied nor looked at again
    else:
        problems += _sequence_problems(content, sequence)
        same = sequence.upper()
    if problems:
        raise NotLoadable("; ".join(problems))
    return Sample(guid, sequence, hashlib.blake2b(same, digest_size=16).hexdigest())


def _only_record(content: bytes) -> tuple[str, bytes]:
    """The name of the one record, and its sequence."""
    if not content or content.isspace():
        raise NotLoadable("the file is empty")
    _check_text(content)
    if not content.startswith(b">"):
        raise NotLoadable("there is no FASTA record: line 1 does not begin with '>'")
    records = _parsed(content)
    if not records:
        raise NotLoadable("there is no complete FASTA record: its name is missing")
    if len(records) > 1:
        raise NotLoadable(f"there are {len(records)} records, and a file must hold one (multifasta)")
    name, sequence = records[0]
    # The parser leaves out what it takes for a quality string: a sequence must never be sent in part.
    body = content.find(b"\n") + 1 or len(content)
    if len(sequence) != len(content) - body - content.count(b"\n", body) - content.count(b"\r", body):
        raise NotLoadable("there is more in the file than one FASTA record, such as a quality string ('+')")
    return name, sequence


def _check_text(content: bytes) -> None:
    if (at := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, at) + 1
        raise NotLoadable(f"line {line} is no text: it holds a NUL (byte {at})")
    if content.isascii():
        return
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NotLoadable(f"line {line} is no UTF-8 text (byte {error.start})") from None


def _parsed(content: bytes) -> list[tuple[str, bytes]]:
    """Name and sequence of each record. The parser works without Python's lock: the thread that inserts never waits for it."""
    import pysam

    with _in_memory(content) as path:
        try:
            with pysam.FastxFile(path, persist=False) as records:
                return [(record.name or "", (record.sequence or "").encode()) for record in records]
        except (ValueError, OSError) as error:
            raise NotLoadable(f"there is no complete FASTA record: {str(error).partition(' in /')[0]}") from None


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """The path of a file that is nowhere but in memory: the parser reads files only."""
    file = os.memfd_create("fasta", os.MFD_CLOEXEC)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(file, rest) :]
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)


def _guid(header: str, prefix: str) -> tuple[str, list[str]]:
    name = header.partition(" ")[0].partition("\t")[0]
    if not name.startswith(prefix):
        return "", [f"the record's name does not begin with '{prefix}': '{_short(name)}'"]
    guid = name.removeprefix(prefix)
    if GUID.fullmatch(guid) and guid not in {".", ".."}:
        return guid, []
    return guid, [f"findNeighbour4 can't take the id '{_short(guid)}' (1 to 59 of A-Z a-z 0-9 ._~:;,+=@&()!*'$-)"]


def _sequence_problems(content: bytes, sequence: bytes) -> list[str]:
    if not sequence:
        return ["the record has no sequence"]
    wrong = sequence.translate(None, NUCLEOTIDES)
    if not wrong:
        return []
    kinds = ", ".join(repr(chr(byte)) for byte in sorted(set(wrong))[:10])
    found = (
        number
        for number, line in enumerate(content.splitlines(), 1)
        if number > 1 and line.translate(None, NUCLEOTIDES)
    )
    return [f"{len(wrong)} letters are no IUPAC nucleotide code or gap: {kinds}, first in line {next(found, '?')}"]


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
