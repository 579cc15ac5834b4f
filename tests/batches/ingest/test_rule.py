"""The rule of reference/ingstat.txt, on numbers alone; test_sequences.py has the same at the command line."""

from __future__ import annotations

import pytest

from batches.choices import Verdict
from batches.ingest.rule import Change, IngestRule, Observation

COMPLETE, ERRORS, PROGRESS = Verdict.COMPLETE, Verdict.COMPLETE_WITH_ERRORS, Verdict.IN_PROGRESS

WORKED = [
    # counts, checks, rechecks, verdict
    ([0], 1, 1, COMPLETE),
    ([5, 0], 1, 1, COMPLETE),
    ([5, 3], 1, 1, PROGRESS),
    ([5, 5, 5], 1, 1, ERRORS),
    ([5, 5, 5, 5, 0], 1, 5, COMPLETE),
    ([5, 5, 5, 5, 3], 1, 5, PROGRESS),
    ([5, 3, 0], 5, 1, COMPLETE),
    ([5, 4, 3, 3, 3], 5, 1, ERRORS),
    ([5, 4, 3, 3, 2], 5, 1, PROGRESS),
    ([9, 8, 7, 6, 5, 4], 5, 1, PROGRESS),
]
SENTENCES = [
    # "If any check finds the number of remaining objects to be 0, ingest is considered complete"
    ([5, 5, 0], 1, 1, COMPLETE),
    ([5, 4, 0], 2, 1, COMPLETE),
    # "if the number of objects changes, reports ingest is still in progress and exits", whatever checks are left
    ([5, 5, 4], 999, 3, PROGRESS),
    # growing is changing
    ([5, 6], 1, 1, PROGRESS),
    # "--checks 999 --rechecks 3"
    ([5, 4, 4, 4, 4, 4], 999, 3, ERRORS),
    ([5, 4, 4, 4, 4, 3], 999, 3, PROGRESS),
    # "the number of objects on the 999th check is different than the 998th"
    (list(range(2000, 1000, -1)), 999, 1, PROGRESS),
    # the last check allowed finds no change: tentatively complete
    ([5, 4, 4, 4], 2, 1, ERRORS),
]


def seen(number: int, names: str = "") -> Observation:
    return Observation(number, f"{names or number}")


@pytest.mark.parametrize(("counts", "checks", "rechecks", "verdict"), WORKED + SENTENCES)
def test_the_verdict_comes_with_the_last_count_and_not_before(
    counts: list[int], checks: int, rechecks: int, verdict: Verdict
) -> None:
    rule = IngestRule(checks, rechecks)
    assert [rule.feed(seen(one)) for one in counts] == [None] * (len(counts) - 1) + [verdict]
    with pytest.raises(ValueError, match="there is a verdict already"):
        rule.feed(seen(0))


def test_as_many_other_objects_are_a_change() -> None:
    rule = IngestRule()
    assert rule.feed(seen(5, "abcde")) is None
    assert rule.change(seen(5, "fghij")) is Change.NAMES
    assert rule.feed(seen(5, "fghij")) is PROGRESS


def test_as_many_other_objects_in_a_recheck_are_a_change() -> None:
    rule = IngestRule(checks=9, rechecks=2)
    assert [rule.feed(seen(2, names)) for names in ("ab", "ab", "ab", "ac")] == [None, None, None, PROGRESS]


def test_it_knows_when_the_final_count_was_first_seen() -> None:
    rule = IngestRule(checks=5)
    for one in (5, 4, 3, 3, 3):
        rule.feed(seen(one))
    assert rule.steady_since() == 2
    only = IngestRule()
    only.feed(seen(0))
    assert only.steady_since() == 0


@pytest.mark.parametrize(("counts", "checks", "rechecks", "verdict"), WORKED + SENTENCES)
def test_names_are_kept_by_every_count_that_may_end_it_with_errors(
    counts: list[int], checks: int, rechecks: int, verdict: Verdict
) -> None:
    rule, kept = IngestRule(checks, rechecks), False
    for one in counts:
        kept = rule.next_can_be_complete_with_errors()
        rule.feed(seen(one))
    assert kept or verdict is not ERRORS


def test_stored_counts_fed_again_continue_where_a_job_left_off() -> None:
    first = IngestRule(checks=5, rechecks=2)
    for one in (5, 4, 4, 4):
        assert first.feed(seen(one)) is None
    again = IngestRule(checks=5, rechecks=2)
    for old in first.observations:
        again.feed(old)
    assert again.feed(seen(4)) is ERRORS
