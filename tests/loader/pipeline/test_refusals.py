"""A server that refuses one sample after the other is the wrong one: the feed pauses, and no file stays rejected."""

from __future__ import annotations

import pytest
from django.utils import timezone

from loader.choices import AttemptOutcome, ObjectState
from loader.feeds.manage import pause_feeds, resume_feeds
from loader.models import Feed
from loader.pipeline.refusals import RefusalCounter
from sandbox.genomes import fasta, mutant
from tests.support.feeding import REFERENCE, Feeding
from tests.support.feeds import MakeFeed, add_attempt, add_object

WRONG_LENGTH = "HTTP 500: sequence must of the same length as reference; seq is 604 and ref is 600"


def put_of_another_species(feeding: Feeding, *samples: str) -> None:
    for number, sample in enumerate(samples):
        at = f"2026-01-01T00:00:{number:02d}.000Z"
        feeding.put(f"{sample}.fasta", fasta(sample, REFERENCE + "ACGT"), created=at)


def tells_no_length(feeding: Feeding) -> None:
    """As an older server, which is found out by its answers to inserts."""
    feeding.fn4.faults({"kind": "status", "status": 404, "path": "server_memory_usage"})


def test_ten_refusals_in_a_row_pause_the_feed_and_reject_nothing(feeding: Feeding) -> None:
    tells_no_length(feeding)
    put_of_another_species(feeding, *(f"s{number:02}" for number in range(12)))
    told = feeding.load()
    assert (told.returncode, "refused 10 samples in a row" in told.stderr) == (1, True), told.stderr
    assert feeding.fn4.requests("POST") == 10
    assert {state for (state,) in feeding.objects("state")} == {"waiting"}
    assert feeding.attempts("outcome, completed", "insert_start_time IS NOT NULL") == [("rejected", 0)] * 10
    assert feeding.attempts("1", "outcome = 'open'") == []
    again = feeding.load()
    assert (again.returncode, "is paused" in again.stderr) == (1, True)

    assert feeding.manage("feed", "resume", feeding.bucket, "--refusals-limit", "0").returncode == 0
    assert feeding.load().returncode == 10
    assert feeding.objects("state") == [("rejected",)] * 12, "they are wrong indeed, says who knows"


def test_refusals_are_counted_from_run_to_run_and_end_with_a_success(make_feed: MakeFeed) -> None:
    feed = make_feed(refusals_limit=3)
    by_us = add_object(feed, "empty", ObjectState.REJECTED, reason="it is empty")
    add_attempt(by_us, AttemptOutcome.REJECTED)
    now, items = timezone.now(), []
    for number in range(5):
        items.append(add_object(feed, f"s{number}", ObjectState.REJECTED, reason=WRONG_LENGTH))
        add_attempt(
            items[-1], AttemptOutcome.REJECTED, insert_start_time=now, insert_status_code=500, message=WRONG_LENGTH
        )
        refusals = RefusalCounter(feed, "default")
        if number == 1:
            refusals.success()
        paused = refusals.refused(WRONG_LENGTH)
        assert bool(paused) == (number == 3)
        if paused:
            break
    for item in [by_us, *items]:
        item.refresh_from_db()
    assert [item.state for item in [by_us, *items]] == ["rejected", "rejected", "waiting", "waiting", "waiting"]
    feed.refresh_from_db()
    assert feed.paused_at
    assert "length" in feed.pause_reason
    assert feed.refusals_in_row == 0


def test_what_is_the_files_own_fault_does_not_count(make_feed: MakeFeed) -> None:
    feed, now = make_feed(refusals_limit=3), timezone.now()
    length, letters = (
        "sequence must of the same length as reference; seq is 2 and ref is 3",
        "There are 2 invalid characters",
    )
    items = []
    for number, text in enumerate([length, letters, letters, length, letters, length]):
        items.append(add_object(feed, f"s{number}", ObjectState.REJECTED, reason=text))
        add_attempt(items[-1], AttemptOutcome.REJECTED, insert_start_time=now, insert_status_code=500, message=text)
        paused = RefusalCounter(feed, "default").refused(f"HTTP 500: {text}")
        assert bool(paused) == (number == 5)
    for item in items:
        item.refresh_from_db()
    assert [item.state for item in items] == ["waiting", "rejected", "rejected", "waiting", "rejected", "waiting"]


@pytest.mark.parametrize("tells", [True, False])
def test_a_good_sample_between_bad_ones_keeps_the_feed_going(feeding: Feeding, tells: bool) -> None:
    if not tells:
        tells_no_length(feeding)
    put_of_another_species(feeding, *(f"a{number}" for number in range(9)))
    feeding.put("b.fasta", fasta("b", mutant(REFERENCE, 1)), created="2026-01-01T00:01:00.000Z")
    feeding.put("c.fasta", fasta("c", REFERENCE + "A"), created="2026-01-01T00:02:00.000Z")
    assert feeding.load().returncode == 10
    assert feeding.objects("state") == [("rejected",)] * 9 + [("loaded",), ("rejected",)]
    assert feeding.manage.rows("SELECT refusals_in_row FROM loader_feed") == [(1,)]


def test_resuming_counts_anew(make_feed: MakeFeed) -> None:
    make_feed(refusals_in_row=7)
    feeds = Feed.objects.all()
    assert (pause_feeds(feeds, "why"), resume_feeds(feeds), feeds.get().refusals_in_row) == (1, 1, 0)
