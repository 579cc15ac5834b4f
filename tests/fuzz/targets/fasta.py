"""Content of files: loaded as what it says, or rejected with a reason that can be stored and holds no sequence."""

from __future__ import annotations

import re

from loader.fasta.names import NameRules
from loader.fasta.parser import FastaRules, NotLoadable, first_characters, read_sample, unpacked
from loader.fasta.validation import GUID, NUCLEOTIDES, without_mark
from tests.fuzz.rules import ensure_no_sequence, ensure_sentence

LARGEST = 1_000_000
NAME = "run/s1.v2.fasta.gz"
RULES = (
    FastaRules(),
    FastaRules(prefix="", strict_ids=False, rna_as_dna=True, names=NameRules(up_to_first_dot=False), plus_in_ids=True),
)
HEADERS = re.compile(rb">[^\r\n]*")


def check(data: bytes) -> None:
    held = 0

    def reserve(size: int) -> None:
        nonlocal held
        held += size

    try:
        content = unpacked(data, LARGEST, reserve)
    except NotLoadable as error:
        ensure_sentence(str(error))
        content = b""
    assert held <= LARGEST + 1
    assert len(content) <= max(LARGEST, len(data))
    assert len(first_characters(content)) <= 128
    for rules in RULES:
        _check_text(content, rules)


def _check_text(content: bytes, rules: FastaRules) -> None:
    try:
        sample = read_sample(content, NAME, rules)
    except NotLoadable as error:
        ensure_sentence(str(error))
        ensure_no_sequence(str(error), but=b"".join(HEADERS.findall(without_mark(content))))
        assert str(error) != "the file is not a FASTA file of one record", "no fault named"
        return
    assert GUID.fullmatch(sample.guid.replace("+", "_"))
    assert sample.sequence
    assert not sample.sequence.translate(None, NUCLEOTIDES)
    again = read_sample(f">{rules.prefix}{sample.guid} again\r\n".encode() + sample.sequence.lower(), NAME, rules)
    assert (again.guid, again.digest) == (sample.guid, sample.digest)
