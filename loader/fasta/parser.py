"""Parses a FASTA file into a sample (domain.md 3)."""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loader.fasta.validation import CAPITALS, NUCLEOTIDES, find_faults, header_problems, sample_id, text_problem

__all__ = ["SUFFIX", "NotLoadable", "Sample", "first_characters", "read_sample", "sample_id", "unpacked"]

SUFFIX = re.compile(r"\.(fasta|fa|fna)(\.gz)?$", re.IGNORECASE)


class NotLoadable(Exception):
    """The file can never be loaded as it is; the text names all its faults."""


class _NotParsed(NotLoadable):
    """A fault that only the parser finds."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence, ready to be sent."""

    guid: str
    sequence: bytes
    digest: str


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
            raise NotLoadable("the file name ends in .gz, but the file is not a complete gzip file") from None
        size += len(parts[-1])
        if size > largest:
            raise NotLoadable(f"the file unpacks to more than the limit of {largest:,} bytes")
        if not member.eof:
            raise NotLoadable("the gzip file is truncated")
        rest = member.unused_data
    return b"".join(parts)


def first_characters(content: bytes) -> str:
    """The first 128 characters, as any database can store them."""
    return content[:128].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")[:128]


def read_sample(content: bytes, name: str, prefix: str, *, strict_ids: bool) -> Sample:
    """The one sample in a FASTA file; raises NotLoadable with all faults."""
    try:
        return _sample(content, name, prefix, strict_ids=strict_ids)
    except NotLoadable as first:
        faults = find_faults(content, name, prefix, strict_ids=strict_ids)
        if not faults or (isinstance(first, _NotParsed) and not any("multifasta" in fault for fault in faults)):
            faults.insert(0, str(first))
        raise NotLoadable("; ".join(faults)) from None


def _sample(content: bytes, name: str, prefix: str, *, strict_ids: bool) -> Sample:
    """The same with at least one fault: millions of letters are neither copied nor read again if the file is good."""
    header, sequence = _only_record(content)
    guid, problems = header_problems(header, name, prefix, strict_ids=strict_ids)
    same = sequence
    if sequence.translate(None, CAPITALS):
        same = sequence.upper()
        if sequence.translate(None, NUCLEOTIDES):
            problems.append("there are characters that are not IUPAC nucleotide codes or gaps")
    if problems or not sequence:
        raise NotLoadable("; ".join(problems) or "the record has no sequence")
    return Sample(guid, sequence, hashlib.blake2b(same, digest_size=16).hexdigest())


def _only_record(content: bytes) -> tuple[str, bytes]:
    """The name of the one record, and its sequence."""
    if not content or content.isspace():
        raise NotLoadable("the file is empty")
    if broken := text_problem(content):
        raise NotLoadable(broken)
    if not content.startswith(b">"):
        raise NotLoadable("no FASTA record: line 1 does not begin with '>'")
    records = _parsed(content)
    if not records:
        raise _NotParsed("no complete FASTA record: its name is missing")
    if len(records) > 1:
        raise _NotParsed(f"{len(records)} records instead of one (multifasta)")
    name, sequence = records[0]
    # The parser drops quality strings; a sequence must never be sent in part.
    body = content.find(b"\n") + 1 or len(content)
    if len(sequence) != len(content) - body - content.count(b"\n", body) - content.count(b"\r", body):
        raise _NotParsed("the file contains more than one FASTA record, such as a quality string ('+')")
    return name, sequence


def _parsed(content: bytes) -> list[tuple[str, bytes]]:
    """Name and sequence of each record. The parser releases the GIL, so the thread that inserts never waits for it."""
    import pysam

    with _in_memory(content) as path:
        try:
            with pysam.FastxFile(path, persist=False) as records:
                return [(record.name or "", (record.sequence or "").encode()) for record in records]
        except (ValueError, OSError) as error:
            raise _NotParsed(f"no complete FASTA record: {str(error).partition(' in /')[0]}") from None


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """The path of a file in memory: the parser only reads files."""
    file = os.memfd_create("fasta", os.MFD_CLOEXEC)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(file, rest) :]
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)
