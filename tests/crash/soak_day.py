"""A day in two minutes (`make soak`): 20 feeds, 30 batches, faults, restarts of every process and a changed schedule.

In the end everything that can be loaded is loaded, every batch has the right verdict, every alarm a cause and every cause
its alarm. `DAY=75`: its seconds, without the waits in between and at its end.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta, mutant
from tests.crash.soak import SERVER_FAULTS
from tests.support.batch_site import BatchSite
from tests.support.feeding import LENGTH, REFERENCE
from tests.support.jobs import Jobs
from tests.support.receiver import Receiver
from tests.support.site import Manage

DAY = float(os.environ.get("DAY", "75"))
SERVERS, FEEDS, BATCHES, WITH_ERRORS, RECORDS, LEFT = 5, 20, 30, 10, 8, 2
PASS_TIME = """
from datetime import timedelta
from django.db.models import F
from django.utils import timezone
from django_q.tasks import async_task
from batches.models.batch import Batch
from core.models import AlarmChannel
from loader.models import BucketObject, Feed, Server
# An hour passes; the longest waiting still come first.
Feed.objects.update(next_look_at=F("next_look_at") - timedelta(hours=1))
# A job that did not come within 20 s went with a killed worker; on a loaded machine others may take as long.
Server.objects.filter(job_queued_at__lt=timezone.now() - timedelta(seconds=20)).update(job_queued_at=None)
BucketObject.objects.filter(state="waiting").update(not_before=None)
# The lock of a killed sender must expire: half a minute passes.
AlarmChannel.objects.update(busy_until=F("busy_until") - timedelta(seconds=30))
# Not those that are being counted.
Batch.objects.filter(counted_at__lt=timezone.now() - timedelta(seconds=1)).update(counted_at=None)
for name in ("loader.tasks.nudge_feeds", "batches.tasks.nudge_batches", "fnloader_site.tasks.alarms"):
    async_task(name)
"""
EVERYWHERE = "*"
AFTER_A_KILL = {(kind, EVERYWHERE) for kind in ("lease_taken_over", "loader_vanished", "attempts_open")}


@dataclass
class Day:
    """What runs, what was sent, and what has a cause."""

    manage: Manage
    jobs: Jobs
    site: BatchSite
    servers: list[Fn4Sandbox]
    folder: Path
    events: Receiver
    chance: random.Random
    sent: dict[int, dict[str, str]] = field(default_factory=dict)
    causes: set[tuple[str, str]] = field(default_factory=set)
    """Kinds of alarms that may come, and of what."""
    must: set[tuple[str, str]] = field(default_factory=set)
    """Those that must come."""
    cluster: Any = None

    def pass_time(self) -> None:
        """Half a minute, an hour or a night: everything is due, and is nudged."""
        result = self.manage("shell", "-v0", "-c", PASS_TIME)
        assert result.returncode == 0, result.stderr

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Passes time until something holds; the Lambda works meanwhile, because a batch without progress gets its verdict."""
        end = time.monotonic() + 120
        while not holds():
            assert self.cluster.poll() is None, f"the jobs ended: {self.cluster.communicate()}"
            assert time.monotonic() < end, f"waited in vain until {what}: {self.unfinished()}"
            self.ingest_some()
            self.pass_time()
            time.sleep(0.3)

    def unfinished(self) -> list[Any]:
        """State that explains a failed wait."""
        questions = (
            "SELECT feed_id, state, reason, count(*) FROM loader_bucketobject WHERE state <> 'loaded' GROUP BY 1, 2, 3",
            "SELECT identity, lease_host, lease_expires, job_queued_at, circuit_reason FROM loader_server",
            "SELECT outcome, count(*) FROM fn4loadattempt GROUP BY 1",
            "SELECT name, paused_at, checked_at, next_look_at FROM loader_feed",
            "SELECT name, said, error, begun_at, finished_at, runs, failures FROM fnloader_site_jobrun",
        )
        return [self.manage.rows(question) for question in questions]

    def raised(self, event: str = "raised") -> set[tuple[str, str]]:
        """Kinds and subjects of the alarms that the receiver got."""
        return {(body["kind"], body["about"]) for _, _, body in self.events.got if body["event"] == event}

    def cause(self, kind: str, about: str) -> None:
        """Something was done that must raise an alarm."""
        self.causes.add((kind, about))
        self.must.add((kind, about))

    def put(self, feed: int) -> None:
        """A new sample in the bucket of a feed."""
        samples = self.sent.setdefault(feed, {})
        name = f"f{feed}-{len(samples)}"
        samples[name] = mutant(REFERENCE, 100 * feed + len(samples))
        (self.folder / f"feed{feed}" / f"{name}.fasta").write_bytes(fasta(name, samples[name]))

    def all_loaded(self) -> bool:
        """Whether every server holds the samples of its feeds, and nothing is open."""
        for number, server in enumerate(self.servers):
            wanted = {name for feed, samples in self.sent.items() if feed % SERVERS == number for name in samples}
            if set(server.guids()) != wanted:
                return False
        return not self.manage.rows("SELECT 1 FROM fn4loadattempt WHERE outcome = 'open' LIMIT 1")

    def ingest_some(self) -> None:
        """The Lambda ingests an object of each batch that has more to ingest."""
        for number in range(BATCHES):
            bid, leave = f"b{number:02}", LEFT if number < WITH_ERRORS else 0
            number_ingested = self.ingested.setdefault(bid, 0)
            if number_ingested < RECORDS - leave:
                self.site.delete(self.site.key(bid, f"A{number_ingested}"))
                self.ingested[bid] = number_ingested + 1

    ingested: dict[str, int] = field(default_factory=dict)

    def restart(self, number: int) -> None:
        """Ends the jobs, cleanly or not, and starts them again."""
        self.cluster.send_signal(number)
        out, err = self.cluster.communicate(timeout=100)
        assert "Traceback" not in err, out + err
        if number == signal.SIGTERM:
            assert self.cluster.returncode == 0, err
        else:
            self.causes |= AFTER_A_KILL
        self.cluster = self.jobs.start()

    def kill_a_worker(self) -> None:
        """One of the workers, the monitor or the pusher."""
        if some := self.jobs.workers(self.cluster):
            os.kill(self.chance.choice(some), signal.SIGKILL)
            self.causes |= AFTER_A_KILL


@pytest.fixture
def day(site: BatchSite, broker: str, tmp_path: Path, receiver: Receiver) -> Any:  # noqa: ANN401 - a generator
    manage, jobs = site.manage, Jobs(site.manage)
    manage.environment |= {
        "JOB_WORKERS": "4",
        "JOB_STRETCH": "3",
        "FN4_INSERT_DEADLINE": "1",
        "ALARM_WEBHOOK_URL": receiver.url,
        "LOG_LEVEL": "WARNING",
    }
    with ExitStack() as stack:
        servers = [
            stack.enter_context(Fn4Sandbox(LENGTH, insert_seconds=0.02, store=str(tmp_path / f"store{number}")))
            for number in range(SERVERS)
        ]
        for feed in range(FEEDS):
            folder = tmp_path / f"feed{feed}"
            folder.mkdir()
            url = servers[feed % SERVERS].url
            assert manage("feed", "add", f"feed{feed}", url, folder.as_uri(), "--scheduled").returncode == 0
        site.seed(**{f"b{number:02}": [f"A{one}" for one in range(RECORDS)] for number in range(BATCHES)})
        chance = random.Random(os.environ.get("SEED", "1"))
        yield Day(manage, jobs, site, servers, tmp_path, receiver, chance)
        jobs.kill_all()


@pytest.mark.timeout(0)
def test_a_day_in_two_minutes(day: Day) -> None:
    day.cluster = day.jobs.start()
    day.manage.rows("UPDATE django_q_schedule SET repeats = 0 WHERE name = 'prune' RETURNING 1")
    special = {4: lose_a_server, 7: restore_a_schedule, 10: a_bad_file, 13: pause_a_feed, 16: a_store_that_is_away}
    restarts = {6: signal.SIGKILL, 12: signal.SIGTERM, 18: signal.SIGKILL}
    end, number = time.monotonic() + DAY, 0
    while time.monotonic() < end or number <= max(special) + 2:
        for feed in day.chance.sample(range(FEEDS), 5):
            day.put(feed)
        day.ingest_some()
        server = day.chance.choice(day.servers)
        server.faults({**day.chance.choice(SERVER_FAULTS), "times": 1})
        day.causes |= {("wrong_statuses", server.url), ("server_away", f"{server.url} on test-host")}
        if number % 5 == 2:
            day.kill_a_worker()
        if number in restarts:
            day.restart(restarts[number])
        if number in special:
            special[number](day)
        day.pass_time()
        time.sleep(0.3)
        number += 1
    for server in day.servers:
        server.clear_faults()
    in_the_evening(day, number)


def lose_a_server(day: Day) -> None:
    """A server dies, raises an alarm, and comes back."""
    server, who = day.servers[0], f"{day.servers[0].url} on test-host"
    day.cause("server_away", who)
    server.kill()
    day.put(0)
    day.until(lambda: ("server_away", who) in day.raised(), "the dead server raises an alarm")
    server.start()
    day.until(lambda: ("server_away", who) in day.raised("recovered"), "it is back")


def restore_a_schedule(day: Day) -> None:
    """A schedule was edited: `migrate` restores it, and one that is off stays off."""
    day.manage.rows("UPDATE django_q_schedule SET cron = '0 0 1 1 *' WHERE name = 'load feeds' RETURNING 1")
    assert day.manage("migrate", "-v0").returncode == 0
    rows = dict(day.manage.rows("SELECT name, repeats FROM django_q_schedule"))
    assert (rows["prune"], rows["load feeds"]) == (0, -1)
    assert day.manage.rows("SELECT cron FROM django_q_schedule WHERE name = 'load feeds'") == [("* * * * * */30",)]


def a_bad_file(day: Day) -> None:
    """A file that is rejected, until it is dismissed."""
    (day.folder / "feed3" / "bad.fasta").write_bytes(b"")
    day.cause("files_rejected", "feed3")
    day.until(lambda: ("files_rejected", "feed3") in day.raised(), "the bad file raises an alarm")
    assert day.manage("feed", "acknowledge", "feed3").returncode == 0
    day.until(lambda: ("files_rejected", "feed3") in day.raised("recovered"), "that is over")


def pause_a_feed(day: Day) -> None:
    """A feed is paused, and resumed."""
    day.cause("feed_paused", "feed5")
    assert day.manage("feed", "pause", "feed5", "--reason", "lunch").returncode == 0
    day.until(lambda: ("feed_paused", "feed5") in day.raised(), "the pause raises an alarm")
    assert day.manage("feed", "resume", "feed5").returncode == 0
    day.until(lambda: ("feed_paused", "feed5") in day.raised("recovered"), "that is over")


def a_store_that_is_away(day: Day) -> None:
    """A batch whose store can't be listed."""
    day.site.seed(lost=["A0"])
    day.manage.rows("UPDATE batches_batch SET store_url = 'file:///nowhere' WHERE bid = 'lost' RETURNING 1")
    day.cause("check_failing", "lost")
    day.until(lambda: ("check_failing", "lost") in day.raised(), "the failing check raises an alarm")
    day.manage.rows("UPDATE batches_batch SET store_url = %s WHERE bid = 'lost' RETURNING 1", day.site.url)
    day.site.delete(day.site.key("lost", "A0"))
    day.until(lambda: ("check_failing", "lost") in day.raised("recovered"), "that is over")


def in_the_evening(day: Day, rounds: int) -> None:
    """Everything is as it should be."""
    for number in range(WITH_ERRORS):
        day.cause("batch_errors", f"b{number:02}")
    day.until(day.all_loaded, "everything is loaded")

    def all_judged() -> bool:
        return not day.manage.rows("SELECT 1 FROM batches_batch WHERE status <> 'ingested' LIMIT 1")

    day.until(all_judged, "every batch has its verdict")
    found = dict(day.manage.rows("SELECT bid, ingest_errs FROM batches_batch"))
    assert found == {f"b{number:02}": LEFT if number < WITH_ERRORS else 0 for number in range(BATCHES)} | {"lost": 0}
    day.until(lambda: day.must <= day.raised(), "every cause has its alarm")
    unexplained = {one for one in day.raised() if one not in day.causes and (one[0], EVERYWHERE) not in day.causes}
    assert unexplained == set(), "every alarm had a cause"
    for server in day.servers:
        assert server.stats()["most_in_flight"] == 1
        assert all(sample["answers"].count(200) <= 1 for sample in server.samples().values())
    day.cluster.send_signal(signal.SIGTERM)
    out, err = day.cluster.communicate(timeout=100)
    assert day.cluster.returncode == 0, out + err
    samples = sum(map(len, day.sent.values()))
    print(
        f"{rounds} rounds, {samples} samples, {len(day.raised())} kinds of alarms: {sorted(day.raised())}", flush=True
    )
