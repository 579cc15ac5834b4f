"""Names of objects as files of a feed: first line the endings, second line the name."""

from __future__ import annotations

from core.digests import digest
from loader.fasta.names import MAX_POSSIBLE_IDS, NameRules, left_out_ending, parse_endings, possible_ids
from tests.fuzz.rules import ensure_line


def check(data: bytes) -> None:
    first, _, second = data.partition(b"\n")
    name = second.decode(errors="surrogateescape")
    endings = _endings(first.decode(errors="replace"))
    whole, short = NameRules(endings, up_to_first_dot=False), NameRules(endings)
    assert whole.is_fasta(name) == bool(whole.ending_of(name))
    for rules in (whole, short):
        sample_id = rules.sample_id(name)
        assert name.rpartition("/")[2].startswith(sample_id)
        assert sample_id in possible_ids(name) or name.count(".") >= MAX_POSSIBLE_IDS or rules is whole
    ensure_line(left_out_ending(name))
    assert len(digest(name)) == 32


def _endings(text: str) -> tuple[str, ...]:
    try:
        return parse_endings(text)
    except ValueError as error:
        assert str(error)
        return NameRules().endings
