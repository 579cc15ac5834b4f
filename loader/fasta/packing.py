"""Unpacks what a bucket holds: gzip is known by its content, never by its name, and so is what is neither gzip nor text."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

GZIP = b"\x1f\x8b"
ZEROS = re.compile(rb"\0*")
FIRST_SLICE, SLICE = 512, 64 * 1024
"""Bytes that the decompressor gets at a time: few at first, since it copies back what belongs to the next member."""
UNPACKED_SLICE = 1024 * 1024
"""Bytes that it returns at a time, at most."""
MAX_MEMBERS = 100_000
_HAS_EXTRA_FIELD, _BGZF = 0x04, b"BC\x02\x00"

OTHER_KINDS = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\x1f\x9d", "compress (.Z)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"BAM\x01", "BAM"),
    (b"CRAM", "CRAM"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "RTF, a word processor's file"),
    (b"\xff\xfe\0\0", "UTF-32 text"),
    (b"\0\0\xfe\xff", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b">\0", "UTF-16 text"),
    (b"\0>", "UTF-16 text"),
    (b"<?xml", "XML"),
    (b"<!DOCTYPE", "an HTML page"),
    (b"<!doctype", "an HTML page"),
    (b"<html", "an HTML page"),
)
"""What a file is by its first bytes. None of them begins a FASTA file."""


class NotLoadable(Exception):
    """The file can never be loaded as it is; the text names all its faults."""


class _Member(NamedTuple):
    """One member of a gzip file."""

    text: bytes
    end: int
    is_bgzf: bool


def unpacked(content: bytes, largest: int, reserve: Callable[[int], None] = lambda _size: None) -> bytes:
    """The text of a file. Raises NotLoadable before more than `largest` bytes of it are held, and if it is no text.

    `reserve` is called with the size of each piece that was unpacked, at most a megabyte; it may wait, or raise.
    """
    if not content.startswith(GZIP):
        return _checked(content, "")
    texts: list[bytes] = []
    size = at = 0
    member = None
    while at < len(content):
        if not content.startswith(GZIP, at):
            raise NotLoadable(
                f"after the gzip data, from byte {at:,} on, the file holds something else: is it damaged?"
            )
        if len(texts) == MAX_MEMBERS:
            raise NotLoadable(f"the gzip file has more than {MAX_MEMBERS:,} members")
        member = _unpack_member(content, at, largest - size, reserve)
        size += len(member.text)
        if size > largest:
            raise NotLoadable(f"the file unpacks to more than the limit of {largest:,} bytes")
        texts.append(member.text)
        # Tapes and block devices pad with zeros.
        at = ZEROS.match(content, member.end).end()  # type: ignore[union-attr]
    if member and member.is_bgzf and member.text:
        raise NotLoadable(
            f"the bgzip file is cut off after {_size(content)}: its last block, which marks the end, is missing"
        )
    return _checked(b"".join(texts), " inside a gzip file")


def _unpack_member(content: bytes, start: int, room: int, reserve: Callable[[int], None]) -> _Member:
    decompressor, parts, at, size = zlib.decompressobj(wbits=31), list[bytes](), start, 0
    view = memoryview(content)
    while not decompressor.eof and size <= room:
        piece = view[at : at + (FIRST_SLICE if at == start else SLICE)]
        if not piece:
            raise NotLoadable(f"the gzip file is cut off after {_size(content)}: its end is missing (truncated)")
        try:
            parts.append(decompressor.decompress(piece, min(room + 1 - size, UNPACKED_SLICE)))
        except zlib.error as error:
            reason = str(error).rpartition(": ")[2]
            raise NotLoadable(f"the gzip file is damaged near byte {at:,} ({reason})") from None
        size += len(parts[-1])
        reserve(len(parts[-1]))
        # At the end of a member, zlib may keep its last `unconsumed_tail`, too.
        at += len(piece) - len(decompressor.unused_data if decompressor.eof else decompressor.unconsumed_tail)
    extra = content[start + 3] & _HAS_EXTRA_FIELD if len(content) > start + 3 else 0
    return _Member(b"".join(parts), at, bool(extra) and content[start + 12 : start + 16] == _BGZF)


def _checked(text: bytes, where: str) -> bytes:
    if text.startswith(GZIP):
        raise NotLoadable(f"this is gzip{where}: pack it only once")
    kind = next((kind for start, kind in OTHER_KINDS if text.startswith(start)), "")
    if kind:
        raise NotLoadable(f"this is {kind}{where}, not FASTA: save it as plain text (UTF-8)")
    return text


def _size(content: bytes) -> str:
    return (
        f"{len(content):,} bytes" if len(content) < 10_000 else f"{len(content) // 1000:,} kB ({len(content):,} bytes)"
    )
