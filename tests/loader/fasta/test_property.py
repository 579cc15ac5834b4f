"""Any sample, in any line ends and packed in any way, is read as the same sample (10,000 times by `make properties`)."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from loader.fasta.names import NameRules
from loader.fasta.parser import FastaRules, read_sample, unpacked
from loader.fasta.validation import NUCLEOTIDES
from sandbox.packing import bgzip

LARGEST = 1_000_000
GUIDS = st.text("abcXYZ0189._~:;,=@&()!*'$-", min_size=1, max_size=59).filter(lambda guid: guid not in (".", ".."))
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r", b"\r\r\n", b"\n\n", b" \n", b"\t\r\n"])
DESCRIPTIONS = st.one_of(st.just(b""), st.binary(max_size=20).map(lambda text: b" " + text.translate(None, b"\0\r\n")))
Pack = Callable[[bytes, int], bytes]


def members(text: bytes, at: int) -> bytes:
    return gzip.compress(text[:at]) + gzip.compress(text[at:])


def padded(text: bytes, at: int) -> bytes:
    return gzip.compress(text) + bytes(at)


def blocks(text: bytes, at: int) -> bytes:
    return bgzip(text[:at]) + bgzip(text[at:])


PACKS = st.sampled_from([lambda text, _at: text, lambda text, _at: gzip.compress(text, 1), members, padded, blocks])
MIXED_CASE = st.text(NUCLEOTIDES.decode(), min_size=1, max_size=300)


@given(
    guid=GUIDS,
    sequence=MIXED_CASE,
    line_ends=st.lists(LINE_ENDS, min_size=1, max_size=5),
    width=st.integers(1, 80),
    description=DESCRIPTIONS,
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    before=st.sampled_from([b"", b"\n", b"\r\n "]),
    ends=st.booleans(),
    pack=PACKS,
    at=st.integers(0, 400),
)
def test_a_sample_is_read_from_all_line_ends_and_compressions(
    guid: str,
    sequence: str,
    line_ends: list[bytes],
    width: int,
    description: bytes,
    mark: bytes,
    before: bytes,
    ends: bool,
    pack: Pack,
    at: int,
) -> None:
    lines = [f">GPAS_SP3|{guid}".encode() + description]
    lines += [sequence[start : start + width].encode() for start in range(0, len(sequence), width)]
    joined = b"".join(line + line_ends[number % len(line_ends)] for number, line in enumerate(lines))
    text = mark + before + (joined if ends else joined.rstrip())
    rules = FastaRules(names=NameRules(up_to_first_dot=False))
    sample = read_sample(unpacked(pack(text, at), LARGEST), f"folder/{guid}.fasta", rules)
    assert (sample.guid, sample.sequence.decode()) == (guid, sequence)
