"""Clocks that go backwards: a machine's own, which is not asked, and the database's, whose rows are then of times to come."""

from __future__ import annotations

import itertools
import time
from contextlib import closing

import pytest

from loader.fn4.client import FindNeighbour4
from loader.ledger.queue import count_due
from loader.models import BucketObject, LoadAttempt
from loader.pipeline.context import LoadContext
from loader.pipeline.feed_pass import FeedPass
from objectstores import open_store
from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta
from tests.support.feeding import LENGTH, REFERENCE, Feeding
from tests.support.feeds import MakeFeed
from tests.support.site import POSTGRES
from tests.support.waiting import until

TIMES = {
    "loader_bucketobject": ("first_seen", "done_at"),
    "loader_feed": ("checked_at",),
    "fn4loadattempt": ("insert_start_time", "insert_end_time", "bucket_read_start_time"),
    "fn4batchload": ("check_time", "finished"),
}


def set_the_clock_back_by_two_hours(feeding: Feeding) -> None:
    """All rows that there are were written two hours from now: that is what a jump leaves behind."""
    for table, columns in TIMES.items():
        for column in columns:
            later = f"{column} + interval '2 hours'" if POSTGRES else f"datetime({column}, '+2 hours')"
            feeding.manage.rows(f"UPDATE {table} SET {column} = {later} WHERE {column} IS NOT NULL RETURNING 1")


def test_after_the_databases_clock_was_set_back_what_waits_is_loaded_and_fnstatus_says_so(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    feeding.fn4.faults({"kind": "status", "status": 401, "method": "POST", "name_prefix": "s2"})
    assert feeding.load().returncode == 1
    assert feeding.objects("name, state") == [("s1.fasta", "loaded"), ("s2.fasta", "waiting")]
    set_the_clock_back_by_two_hours(feeding)
    feeding.fn4.clear_faults()
    feeding.put_samples("s3")
    assert "clock_jumped" in feeding.manage("fnstatus", "--json").stdout
    told = feeding.load()
    assert told.returncode == 0, told.stderr
    feeding.assert_every_sample_is_in_once()


def test_after_the_clock_was_set_back_an_open_insert_is_waited_for_no_longer_than_ever(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    feeding.fn4.faults({"kind": "hang", "method": "POST"})
    process = feeding.start("--once")
    until(lambda: feeding.attempts("1", "insert_start_time IS NOT NULL"), "an insert is in flight", process)
    process.kill()
    process.communicate()
    feeding.fn4.clear_faults()
    set_the_clock_back_by_two_hours(feeding)
    began = time.monotonic()
    told = feeding.load()
    assert told.returncode == 0, told.stderr
    assert time.monotonic() - began < 60, "FN4_INSERT_DEADLINE is 2 s here: not two hours"
    assert feeding.attempts("outcome") == [("failed",), ("inserted",)]
    feeding.assert_every_sample_is_in_once()


def test_a_machine_whose_clock_goes_backwards_loads_as_ever(
    make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    backwards = itertools.count(time.time(), -3600)
    monkeypatch.setattr(time, "time", lambda: next(backwards))
    with Fn4Sandbox(LENGTH) as fn4, closing(FindNeighbour4(fn4.url)) as client:
        feed = make_feed(url=fn4.url)
        store = open_store(feed.store_url)
        for number in range(4):
            store.write(f"s{number}.fasta", fasta(f"s{number}", REFERENCE))
        loader = FeedPass(LoadContext(feed, store, client))
        assert loader.turn().inserted == 4
        assert len(fn4.guids()) == 4
    attempts = LoadAttempt.objects.order_by("gp_int_id").values_list("insert_start_time", "insert_end_time")
    times = [at for pair in attempts for at in pair if at]
    assert times == sorted(times)
    assert len(times) == 8
    assert not count_due(feed, "default", loader.context.clock.now())
    assert not BucketObject.objects.exclude(state="loaded").exists()
