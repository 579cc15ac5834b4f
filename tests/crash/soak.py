"""Long runs (`make soak`), not part of `make test`: many kills, and hours of faults in minutes.

`make soak KILLS=1000 MINUTES=10`: how many kills, and how long the unattended run lasts.
"""

from __future__ import annotations

import json
import os
import random
import time

import pytest

from sandbox.genomes import bad_files
from tests.crash.test_fnload_killed import start_and_kill
from tests.support.feeding import REFERENCE, Feeding
from tests.support.truth import assert_all_is_true, assert_no_links_are_claimed
from tests.support.waiting import stop, until

KILLS = int(os.environ.get("KILLS", "1000"))
MINUTES = float(os.environ.get("MINUTES", "10"))
SERVER_FAULTS: list[dict[str, object]] = [
    {"kind": "reset", "method": "POST", "when": "before"},
    {"kind": "reset", "method": "POST", "when": "after"},
    {"kind": "status", "status": 502, "method": "POST", "when": "during"},
    {"kind": "status", "status": 503, "method": "POST", "when": "after"},
    {"kind": "status", "status": 500, "method": "POST"},
    {"kind": "status", "status": 500, "path": "/exists"},
    {"kind": "reset", "path": "/exists"},
    {"kind": "delay", "seconds": 1.0, "method": "POST"},
]
LINK_FAULTS = ("breaks_links", "dies_before_links")
"""Inserts that store their row and not their links: methods of the stand-in."""
STORE_FAULTS: list[dict[str, object]] = [
    {"kind": "status", "status": 429, "code": "TooManyRequests"},
    {"kind": "status", "status": 500, "path": "/o?"},
    {"kind": "reset"},
    {"kind": "truncate"},
    {"kind": "corrupt"},
    {"kind": "status", "status": 404, "code": "ObjectNotFound", "path": "/o/"},
]


@pytest.mark.timeout(0)
def test_a_thousand_kills(feeding: Feeding) -> None:
    chance = random.Random(os.environ.get("SEED", "1"))
    feeding.manage.environment["FN4_INSERT_DEADLINE"] = "1"
    feeding.fn4.insert_seconds(0.05)
    for number in range(KILLS):
        # Some are near enough to be linked, some are not.
        feeding.put_samples(*[f"k{number}-{one}" for one in range(5)], changes=chance.choice((3, 8, 40)))
        if chance.random() < 0.5:
            getattr(feeding.fn4, chance.choice((*LINK_FAULTS, "engine_dies")))(chance.randint(1, 3))
        start_and_kill(feeding, chance.choice((0.1, 0.3, 0.6, 1.5)) * chance.random())
        feeding.fn4.engine_down(down=False)
        # After three refusals in a row only one pass a minute sends anything: here the next one may.
        feeding.manage.rows("UPDATE loader_server SET asked_at = NULL RETURNING 1")
        if number % 50 == 49:
            print(f"{number + 1} kills, {len(feeding.fn4.guids())} of {len(feeding.sent)} samples in", flush=True)
    feeding.fn4.insert_seconds(0)
    feeding.fn4.set(engine_dies=0, breaks_links=0, dies_before_links=0)
    feeding.manage.rows("UPDATE loader_bucketobject SET not_before = NULL WHERE state = 'waiting' RETURNING 1")
    result = feeding.load()
    assert result.returncode in (0, 10), result.stderr
    print_results(feeding)
    assert_all_is_true(feeding)


def print_results(feeding: Feeding) -> None:
    """How the samples ended, and of how many the server misses the links."""
    results = dict(feeding.manage.rows("SELECT result, count(*) FROM loader_bucketobject GROUP BY result"))
    missing = sum(not sample["links"] for sample in feeding.fn4.samples().values() if sample["sha256"])
    print(f"{results}, {missing} without links", flush=True)


class Watch:
    """Compares what `fnstatus` reports of the loader with what was done to it."""

    ALWAYS = frozenset({"wrong_statuses", "files_rejected", "lease_taken_over", "links_unproven"})
    """May be reported for a day after each fault, or until they are dismissed."""
    UNDER_FAULTS = frozenset({"server_away", "attempts_open"})
    """May be reported for some seconds after a fault of the server."""
    ALL = ALWAYS | UNDER_FAULTS | {"loader_vanished", "feed_paused", "feed_silent", "clocks_apart", "clock_jumped"}

    def __init__(self, feeding: Feeding) -> None:
        self.feeding = feeding
        self.process = feeding.start("--interval", "0.5")
        self.status_calls = 0

    def kinds(self) -> set[str]:
        """The kinds of its concerns, as a monitor would read them."""
        status = self.feeding.manage("fnstatus", "--json")
        assert status.returncode in (0, 10), status.stderr
        self.status_calls += 1
        concerns = json.loads(status.stdout)["concerns"]
        assert (status.returncode == 10) == bool(concerns)
        return {concern["kind"] for concern in concerns} & self.ALL

    def assert_no_false_alarm(self) -> None:
        """Random faults pass without help: nothing is reported that needs a person."""
        assert self.process.poll() is None, self.process.communicate()
        assert self.kinds() <= self.ALWAYS | self.UNDER_FAULTS

    def wait_for(self, kind: str) -> None:
        """It is reported within a minute."""
        until(lambda: kind in self.kinds(), f"fnstatus reports {kind}")

    def wait_until_over(self, *kinds: str) -> None:
        """It is no longer reported within a minute."""
        until(lambda: not self.kinds() & set(kinds), f"fnstatus reports {kinds} no longer")

    def server_fails(self) -> None:
        """Its database goes down and comes back."""
        self.feeding.fn4.database_down()
        self.wait_for("server_away")
        self.feeding.fn4.database_down(down=False)
        self.wait_until_over("server_away")

    def loader_is_killed(self) -> None:
        """In the middle of an insert; then another one starts."""
        self.feeding.fn4.insert_seconds(1.0)
        self.feeding.put_samples(f"killed-{self.status_calls}")
        until(lambda: self.feeding.fn4.stats()["in_flight"], "an insert is in flight", self.process)
        self.process.kill()
        self.process.communicate()
        assert {"loader_vanished", "attempts_open"} <= self.kinds()
        self.process = self.feeding.start("--interval", "0.5")
        self.wait_until_over("loader_vanished", "attempts_open")
        assert "lease_taken_over" in self.kinds()
        # Before it has begun, a failing store ends it with 1, for its caller to see.
        until(lambda: all_are_in(self.feeding), "the new loader has begun", self.process)
        self.feeding.fn4.insert_seconds(0.02)

    def proxy_is_wrong(self) -> None:
        """The feed pauses until somebody resumes it."""
        self.feeding.fn4.faults({"kind": "status", "status": 413, "method": "POST"})
        self.feeding.put_samples(f"refused-{self.status_calls}")
        self.wait_for("feed_paused")
        self.feeding.fn4.clear_faults()
        ((feed,),) = self.feeding.manage.rows("SELECT name FROM loader_feed")
        assert self.feeding.manage("feed", "resume", feed).returncode == 0
        assert "feed_paused" not in self.kinds()

    def files_are_bad(self) -> None:
        """Until they are dismissed."""
        for name, (content, _) in bad_files(REFERENCE).items():
            self.feeding.put(f"{self.status_calls}/{name}", content)
        self.wait_for("files_rejected")
        ((feed,),) = self.feeding.manage.rows("SELECT name FROM loader_feed")
        waiting = "SELECT 1 FROM loader_bucketobject WHERE state IN ('waiting', 'loading')"
        until(lambda: not self.feeding.manage.rows(waiting), "all are judged", self.process)
        assert self.feeding.manage("feed", "acknowledge", feed).returncode == 0
        assert "files_rejected" not in self.kinds()


@pytest.mark.timeout(0)
def test_an_unattended_run_under_faults(feeding: Feeding) -> None:
    """A daemon runs; files come, good and bad; store and server fail all the time. In the end every good sample is in,
    and `fnstatus` always reported what needs a person, and nothing else."""
    chance = random.Random(os.environ.get("SEED", "1"))
    feeding.fn4.insert_seconds(0.02)
    watch = Watch(feeding)
    feeding.put_samples("first")
    until(feeding.fn4.guids, "it has begun", watch.process)
    scenes = [watch.files_are_bad, watch.server_fails, watch.loader_is_killed, watch.proxy_is_wrong]
    end, number = time.monotonic() + MINUTES * 60, 0
    while time.monotonic() < end:
        feeding.put_samples(*[f"u{number}-{one}" for one in range(3)], changes=chance.choice((3, 8, 40)))
        if chance.random() < 0.2:
            getattr(feeding.fn4, chance.choice(LINK_FAULTS))()
        feeding.fn4.faults({**chance.choice(SERVER_FAULTS), "times": chance.randint(1, 3)})
        feeding.oci.faults({**chance.choice(STORE_FAULTS), "times": chance.randint(1, 3)})
        time.sleep(chance.uniform(0, 1.0))
        number += 1
        if number % 5 == 0:
            watch.assert_no_false_alarm()
        if number % 12 == 0:
            feeding.fn4.clear_faults()
            feeding.oci.clear_faults()
            until(lambda: all_are_in(feeding), "every good sample is in before the next scene", watch.process)
            watch.wait_until_over("server_away", "attempts_open")
            scenes[number // 12 % len(scenes)]()
    feeding.fn4.clear_faults()
    feeding.oci.clear_faults()
    until(lambda: all_are_in(feeding), "every good sample is in", watch.process)
    status, output = stop(watch.process)
    assert (status, "Traceback" in output) == (0, False), output[-3000:]
    feeding.assert_every_sample_is_in_once()
    assert feeding.fn4.stats()["most_in_flight"] == 1
    states = dict(feeding.manage.rows("SELECT state, count(*) FROM loader_bucketobject GROUP BY state"))
    print(f"{number} rounds, {watch.status_calls} calls of fnstatus: {states}", flush=True)
    assert states["loaded"] == len(feeding.sent)
    print_results(feeding)
    assert_no_links_are_claimed(feeding)


def all_are_in(feeding: Feeding) -> bool:
    """Every good sample, and no attempt is open. What waits for its next try is due now."""
    feeding.manage.rows("UPDATE loader_bucketobject SET not_before = NULL WHERE state = 'waiting' RETURNING 1")
    return set(feeding.fn4.guids()) == set(feeding.sent) and not feeding.attempts("1", "outcome = 'open'")
