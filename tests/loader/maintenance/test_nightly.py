"""The night's jobs: old detail goes, what is done stays for ever; what the server lost is noticed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from loader import tasks
from loader.choices import AttemptOutcome, ObjectState
from loader.maintenance.prune import PruneSummary, prune
from loader.models import BatchLoad, BucketObject, Feed, LoadAttempt, Server, ServerReading
from loader.runners import jobs
from tests.support.feeding import Feeding
from tests.support.feeds import MakeFeed, add_attempt, add_object

DAY = timedelta(days=1)


def test_old_detail_goes_and_what_is_done_stays(make_feed: MakeFeed) -> None:
    feed, old = make_feed(), timezone.now() - 400 * DAY
    done, waiting = add_object(feed, "done", ObjectState.LOADED), add_object(feed, "waiting")
    for item in (done, waiting):
        for outcome in (AttemptOutcome.FAILED, AttemptOutcome.NOT_SENT, AttemptOutcome.INSERTED):
            add_attempt(item, outcome, batch_start_time=old)
    add_attempt(done, AttemptOutcome.FAILED, batch_start_time=timezone.now())
    LoadAttempt.objects.create(seqid="adopted", completed=0)
    for at, size in ((old, 0), (old, 3), (timezone.now(), 0)):
        BatchLoad.objects.create(feed=feed, check_time=at, batch_size=size)
    for at in (timezone.now() - 91 * DAY, timezone.now() - 89 * DAY):
        ServerReading.objects.create(server=feed.server, at=at)
    assert prune(365, dry_run=True) == PruneSummary(2, 1, 1)
    assert "2 load attempts" in tasks.prune()
    assert prune(365) == PruneSummary(0, 0)
    assert BucketObject.objects.count() == 2
    assert LoadAttempt.objects.filter(outcome=AttemptOutcome.INSERTED).count() == 2
    left = LoadAttempt.objects.filter(bucket_object=done).values_list("outcome", flat=True)
    assert set(left) == {"failed", "inserted"}, "what is not old stays, too"
    assert BatchLoad.objects.count() == 2
    assert ServerReading.objects.count() == 1


def test_nothing_is_pruned_where_the_setting_says_so(make_feed: MakeFeed) -> None:
    item = add_object(make_feed(), "done", ObjectState.LOADED)
    add_attempt(item, AttemptOutcome.FAILED, batch_start_time=timezone.now() - 4000 * DAY)
    with override_settings(PRUNE_AFTER_DAYS=0):
        tasks.prune()
    assert LoadAttempt.objects.count() == 1


def test_pruning_by_hand_asks_first(feeding: Feeding) -> None:
    told = feeding.manage("fnprune")
    assert (told.returncode, "Add --yes" in told.stderr) == (1, True)
    told = feeding.manage("fnprune", "--days", "30", "--yes")
    assert (told.returncode, told.stdout) == (0, "Deleted 0 load attempts, 0 batch loads and 0 server readings.\n")
    assert feeding.manage("fnprune", "--days", "0").returncode == 2


def test_the_nightly_comparison_notices_what_the_server_lost(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    assert feeding.load().returncode == 0
    feeding.manage.rows("UPDATE loader_bucketobject SET seqid = 'other', guid = 'other' WHERE seqid = 's1' RETURNING 1")
    ((feed,),) = feeding.manage.rows("SELECT id FROM loader_feed")
    code = f"from loader.tasks import reconcile_feed; print(reconcile_feed({feed}))"
    told = feeding.manage("shell", "-v0", "-c", code)
    assert "1 lost" in told.stdout, told.stderr
    assert feeding.manage.rows("SELECT reconcile_lost FROM loader_feed") == [(1,)]
    found = [("lost", "other", "s1.fasta"), ("not_in_bucket", "s1", "")]
    assert feeding.manage.rows("SELECT kind, guid, name FROM loader_finding ORDER BY kind") == found
    assert "1 lost" in feeding.manage("shell", "-v0", "-c", code).stdout
    assert feeding.manage.rows("SELECT count(*) FROM loader_finding") == [(2,)], (
        "they take the place of the earlier ones"
    )
    feeding.fn4.kill()
    assert "comparison failed" in feeding.manage("shell", "-v0", "-c", code).stdout
    assert feeding.manage.rows("SELECT reconcile_lost FROM loader_feed") == [(1,)], "what was known stays"
    assert feeding.manage.rows("SELECT count(*) FROM loader_finding") == [(2,)]


def test_one_job_is_queued_for_a_server_and_one_that_was_lost_is_queued_again(make_feed: MakeFeed) -> None:
    server = make_feed(scheduled=True).server_id
    assert jobs.servers_to_nudge() == [server]
    assert jobs.mark_queued(server)
    assert not jobs.mark_queued(server)
    assert jobs.unmark_queued(server)
    assert not jobs.unmark_queued(server), "the same job, delivered twice"
    assert jobs.mark_queued(server)
    Server.objects.update(job_queued_at=timezone.now() - timedelta(minutes=5))
    assert jobs.mark_queued(server), "it was lost with its worker"
    assert jobs.unmark_queued(server), "and comes after all"
    assert not jobs.unmark_queued(server)


def test_feeds_of_a_server_take_turns_and_others_are_left_alone(make_feed: MakeFeed) -> None:
    now = timezone.now()
    first, second = (
        make_feed("a", scheduled=True),
        make_feed("b", scheduled=True, next_look_at=now - timedelta(hours=1)),
    )
    make_feed("by-hand")
    make_feed("paused", scheduled=True, paused_at=now)
    server = first.server_id
    assert jobs.next_feed(server) == first
    Feed.objects.filter(pk=first.pk).update(next_look_at=now)
    assert jobs.next_feed(server) == second
    Feed.objects.update(next_look_at=now + timedelta(minutes=2))
    assert jobs.next_feed(server) is None
    assert jobs.servers_to_nudge() == []
    Server.objects.update(lease_token="t", lease_expires=now - timedelta(minutes=1))
    assert jobs.servers_to_nudge() == [server], "whoever held the lease vanished"
    assert jobs.next_feed(server) in (first, second)


def test_a_server_that_somebody_feeds_is_not_nudged(make_feed: MakeFeed) -> None:
    make_feed(scheduled=True)
    Server.objects.update(lease_token="t", lease_expires=timezone.now() + timedelta(minutes=1))
    assert jobs.servers_to_nudge() == []


@pytest.mark.parametrize("interval", [5, 180])
def test_trouble_is_looked_at_again_soon(make_feed: MakeFeed, interval: int) -> None:
    feed = make_feed(scheduled=True, interval=interval)
    said = str(jobs.run_time_slice(feed, lambda: False))
    assert "Connection refused" in said
    feed.refresh_from_db()
    assert feed.next_look_at
    assert feed.next_look_at < timezone.now() + timedelta(seconds=16)
    assert Server.objects.get().circuit_open_since
