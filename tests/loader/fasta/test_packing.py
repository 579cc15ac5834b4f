"""Files as they are packed: gzip is known by its content, and what can't be read is rejected with the true reason."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest

from loader.fasta.packing import MAX_MEMBERS, UNPACKED_SLICE, NotLoadable, unpacked
from sandbox.packing import bgzip

TEXT = b">GPAS_SP3|s1\n" + b"ACGT" * 20_000 + b"\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        gzip.compress(TEXT),
        gzip.compress(TEXT[:20]) + gzip.compress(b"") + gzip.compress(TEXT[20:]),
        gzip.compress(TEXT) + bytes(512),
        gzip.compress(TEXT[:9]) + bytes(10) + gzip.compress(TEXT[9:]) + bytes(3),
        bgzip(TEXT),
        bgzip(TEXT) + bytes(100),
        bgzip(TEXT[:99]) + bgzip(TEXT[99:]),
        bgzip(TEXT[:99]) + gzip.compress(TEXT[99:]),
    ],
    ids=["plain", "gzip", "members", "zeros", "zeros between", "bgzip", "bgzip, zeros", "two bgzip", "bgzip and gzip"],
)
def test_gzip_is_unpacked_whatever_wrote_it(content: bytes) -> None:
    assert unpacked(content, len(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"A" * 10_000_000), "unpacks to more than the limit of 100,000 bytes"),
        (gzip.compress(b"A" * 60_000) * 2, "unpacks to more than the limit"),
        (gzip.compress(TEXT)[:-9], r"cut off after \d+ bytes"),
        (gzip.compress(TEXT)[:5], "cut off after 5 bytes"),
        (gzip.compress(TEXT, 0)[:31_000], r"cut off after 31 kB \(31,000 bytes\)"),
        (bgzip(TEXT)[:-28], "the bgzip file is cut off after .* its last block"),
        (bgzip(TEXT)[:-3], "cut off after"),
        (gzip.compress(b"A" * 9) + b"rubbish", "after the gzip data, from byte 23 on, the file holds something else"),
        (gzip.compress(TEXT)[:-8] + bytes(8), "damaged near byte .*incorrect data check"),
        (gzip.compress(gzip.compress(TEXT)), "this is gzip inside a gzip file"),
        (gzip.compress(bgzip(TEXT)), "this is gzip inside a gzip file"),
        (bz2.compress(TEXT), "this is bzip2, not FASTA"),
        (gzip.compress(lzma.compress(TEXT)), "this is xz inside a gzip file, not FASTA"),
        (b"PK\x03\x04rest", "this is a ZIP archive"),
        (TEXT.decode().encode("utf-16"), "this is UTF-16 text, not FASTA: save it as plain text"),
        (TEXT.decode().encode("utf-16-le"), "UTF-16"),
        (TEXT.decode().encode("utf-16-be"), "UTF-16"),
        (TEXT.decode().encode("utf-32"), "UTF-32"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "this is XML"),
        (b"{\\rtf1\\ansi >s1", "a word processor's file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_what_cannot_be_read_is_rejected_with_the_true_reason(content: bytes, words: str) -> None:
    with pytest.raises(NotLoadable, match=words):
        unpacked(content, 100_000)


def test_a_bomb_of_members_is_refused() -> None:
    with pytest.raises(NotLoadable, match="more than 100,000 members"):
        unpacked(gzip.compress(b"") * (MAX_MEMBERS * 3), 1000)


def test_each_piece_is_reserved_before_the_next_one_is_unpacked() -> None:
    reserved: list[int] = []
    content = gzip.compress(b"A" * 3_500_000) + gzip.compress(b"")
    assert len(unpacked(content, 4_000_000, reserved.append)) == sum(reserved) == 3_500_000
    assert max(reserved) <= UNPACKED_SLICE

    def full(_size: int) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        unpacked(content, 4_000_000, full)
