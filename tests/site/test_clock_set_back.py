"""The database's clock was an hour ahead, and is right again: nothing that it left in the tables stands still for that hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from batches.choices import Verdict
from batches.ingest import scheduled
from batches.ingest.rule import CheckOptions
from batches.models import Batch, IngestCheck
from batches.tasks import nudge_batches
from core.alarms.notifications import deliver
from core.models import Alarm, AlarmChannel, JobRun
from fnloader_site.monitoring.concerns import job_concerns
from loader.coordination.database_clock import DatabaseClock
from loader.coordination.engine_question import claim_question
from loader.coordination.lease import Lease
from loader.ledger.queue import count_due
from loader.ledger.scan import scan
from loader.maintenance.counters import update_counters
from loader.models import BucketObject, Feed, Server, TallyMark
from loader.runners import jobs
from objectstores import open_store
from tests.support.feeds import MakeFeed, add_object

if TYPE_CHECKING:
    from tests.support.folder_batch import Seed

pytest_plugins = ["tests.support.folder_batch"]
pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def test_a_server_whose_job_was_queued_is_nudged(make_feed: MakeFeed) -> None:
    feed = make_feed(scheduled=True)
    assert jobs.mark_queued(feed.server_id)
    assert not jobs.mark_queued(feed.server_id)
    Server.objects.update(job_queued_at=timezone.now() + HOUR)
    assert jobs.mark_queued(feed.server_id)
    assert not jobs.mark_queued(feed.server_id)


@pytest.mark.parametrize(("wait", "is_due"), [(HOUR, True), (timedelta(seconds=170), False)])
def test_a_feed_waits_no_longer_than_its_interval(make_feed: MakeFeed, wait: timedelta, is_due: bool) -> None:
    feed = make_feed(scheduled=True, interval=180, next_look_at=timezone.now() + wait)
    assert jobs.servers_to_nudge() == ([feed.server_id] if is_due else [])
    assert bool(jobs.next_feed(feed.server_id)) == is_due


def test_a_dead_loader_elsewhere_keeps_its_lease_for_a_minute_and_a_living_one_keeps_it(make_feed: MakeFeed) -> None:
    feed = make_feed(scheduled=True)
    owner, other = (Lease(feed.server, "default", host) for host in ("far-away", "here"))
    assert owner.acquire()
    Server.objects.update(lease_expires=timezone.now() + HOUR, lease_process="another-boot 1 1")
    assert not other.acquire()
    owner.ensure()
    ends = Server.objects.get().lease_expires
    assert ends
    left = ends - timezone.now()
    # No earlier than its owner thinks that it ends.
    assert 50 * SECOND < left <= 60 * SECOND
    Server.objects.update(lease_expires=timezone.now() + HOUR)
    assert jobs.servers_to_nudge() == []
    Server.objects.filter(lease_expires__lt=timezone.now() + 61 * SECOND).update(lease_expires=timezone.now() - SECOND)
    assert jobs.servers_to_nudge() == [feed.server_id]
    assert other.acquire()


def test_a_question_about_the_engine_and_the_counters_come_again(make_feed: MakeFeed) -> None:
    server = make_feed().server
    assert claim_question(server, "default")
    assert not claim_question(server, "default")
    Server.objects.update(asked_at=timezone.now() + HOUR)
    assert claim_question(server, "default")
    update_counters()
    TallyMark.objects.update(rolled_at=timezone.now() + HOUR)
    update_counters()
    assert TallyMark.objects.get().rolled_at < timezone.now() + SECOND  # type: ignore[operator]


@pytest.mark.parametrize(
    ("tries", "wait", "is_due"), [(1, HOUR, True), (1, 35 * SECOND, False), (9, HOUR, False), (9, 7 * HOUR, True)]
)
def test_a_file_waits_no_longer_than_its_tries_make_it(
    make_feed: MakeFeed, tries: int, wait: timedelta, is_due: bool
) -> None:
    feed = make_feed()
    with closing(open_store(feed.store_url)) as store:
        store.write("s1.fasta", b">s1")
        clock = DatabaseClock(feed.server, "default")
        scan(feed, store, "default", clock, lambda: None)
        BucketObject.objects.update(tries=tries, not_before=clock.now() + wait)
        other = add_object(make_feed("other"), "s2", tries=1, not_before=clock.now() + HOUR)
        scan(feed, store, "default", clock, lambda: None)
    assert bool(count_due(feed, "default", clock.now())) == is_due
    assert BucketObject.objects.get(pk=other.pk).not_before == other.not_before


@pytest.mark.parametrize(
    ("columns", "is_sent"),
    [
        ({"busy_until": HOUR}, True),
        ({"busy_until": 180 * SECOND}, False),
        ({"next_try_at": HOUR, "tries": 1}, True),
        ({"next_try_at": HOUR, "tries": 8}, False),
        ({"next_try_at": 3 * HOUR, "tries": 8}, True),
    ],
)
def test_alarms_are_sent(columns: dict[str, timedelta | int], is_sent: bool) -> None:
    sent: list[Alarm] = []

    class Noting:
        name, always = "noting", False

        def is_set_up(self) -> bool:
            return True

        def groups(self, alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
            yield list(alarms)

        def send(self, alarms: list[Alarm]) -> None:
            sent.extend(alarms)

    now = timezone.now()
    Alarm.objects.create(key="k", kind="k", about="", level="wrong", what="w", why="", way_out="", raised_at=now)
    given = {name: now + value if isinstance(value, timedelta) else value for name, value in columns.items()}
    AlarmChannel.objects.create(name="noting", **given)
    deliver([Noting()])
    assert bool(sent) == is_sent


def test_a_job_that_failed_and_ran_again_is_no_concern() -> None:
    now = timezone.now()
    JobRun.objects.create(name="a", begun_at=now, finished_at=now, failed_at=now + HOUR)
    assert list(job_concerns()) == []
    JobRun.objects.update(failed_at=now + SECOND)
    assert [concern.kind for concern in job_concerns()] == ["job_failing"]


def test_a_batch_is_counted_and_healed(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a", "b"])
    spaced = CheckOptions(60, 9, 2)
    assert scheduled.count_once(made.fresh(), spaced)
    assert scheduled.count_once(made.fresh(), spaced) is None
    assert list(scheduled.to_check()) == []
    Batch.objects.update(counted_at=timezone.now() + HOUR)
    assert list(scheduled.to_check()) == [made.fresh()]
    assert scheduled.count_once(made.fresh(), spaced)


def test_a_check_spans_its_counts_though_its_upload_ended_in_the_future(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a"])
    Batch.objects.update(upload_finished=timezone.now() + HOUR)
    rows = [scheduled.count_once(made.fresh(), CheckOptions(0, 9, 2)) for _ in range(4)]
    assert IngestCheck.objects.count() == 1, rows
    assert rows[-1]
    assert rows[-1].verdict == Verdict.COMPLETE_WITH_ERRORS


@pytest.mark.parametrize(
    "see", [lambda batch: batch.lock_upload("new", host="", pid=1, process=""), lambda _: nudge_batches()]
)
def test_a_dead_upload_elsewhere_keeps_its_lock_for_a_minute(
    folder_batch: Seed, see: Callable[[Batch], object]
) -> None:
    batch = folder_batch("plc", ["a"]).fresh()
    now = timezone.now()
    Batch.objects.update(upload_owner="old", upload_heartbeat=now + HOUR, upload_process="another-boot 1 1")
    assert see(batch) is not True
    beat = Batch.objects.get().upload_heartbeat
    assert beat
    assert abs(beat - timezone.now()) < 30 * SECOND
    assert Batch.objects.get().upload_owner == "old"
    Batch.objects.update(upload_heartbeat=now - 61 * SECOND)
    assert batch.lock_upload("new", host="", pid=1, process="")


def test_a_feeds_page_of_work_is_the_same(make_feed: MakeFeed) -> None:
    """Times that a right clock writes are left as they are."""
    feed = make_feed(scheduled=True, next_look_at=timezone.now() + 30 * SECOND)
    before = Feed.objects.get().next_look_at
    assert jobs.servers_to_nudge() == []
    assert Feed.objects.get(pk=feed.pk).next_look_at == before
