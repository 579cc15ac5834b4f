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
from tests.support.truth import assert_all_is_true
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
        feeding.put_samples(*[f"k{number}-{one}" for one in range(5)])
        start_and_kill(feeding, chance.choice((0.0, 0.1, 0.3, 0.6)) * chance.random())
        if number % 50 == 49:
            print(f"{number + 1} kills, {len(feeding.fn4.guids())} of {len(feeding.sent)} samples in", flush=True)
    feeding.fn4.insert_seconds(0)
    result = feeding.load()
    assert result.returncode == 0, result.stderr
    assert_all_is_true(feeding)


class Watch:
    """What `fnstatus` says of the loader, compared with what was done to it."""

    ALWAYS = frozenset({"wrong_statuses", "files_rejected", "lease_taken_over"})
    """May be true for a day after each fault."""
    UNDER_FAULTS = frozenset({"server_away", "attempts_open"})
    """May be true for some seconds after a fault of the server."""
    ALL = ALWAYS | UNDER_FAULTS | {"loader_vanished", "feed_paused", "feed_silent", "clocks_apart", "clock_jumped"}

    def __init__(self, feeding: Feeding) -> None:
        self.feeding = feeding
        self.process = feeding.start("--interval", "0.5")
        self.looks = 0

    def kinds(self) -> set[str]:
        """The kinds of its concerns, as a monitor would read them."""
        told = self.feeding.manage("fnstatus", "--json")
        assert told.returncode in (0, 10), told.stderr
        self.looks += 1
        concerns = json.loads(told.stdout)["concerns"]
        assert (told.returncode == 10) == bool(concerns)
        return {concern["kind"] for concern in concerns} & self.ALL

    def nothing_untrue(self) -> None:
        """Random faults pass by themselves: nothing is said that would call a person."""
        assert self.process.poll() is None, self.process.communicate()
        assert self.kinds() <= self.ALWAYS | self.UNDER_FAULTS

    def says(self, kind: str) -> None:
        """It is said, within a minute."""
        until(lambda: kind in self.kinds(), f"fnstatus says {kind}")

    def is_silent_of(self, *kinds: str) -> None:
        """It is said no more, within a minute."""
        until(lambda: not self.kinds() & set(kinds), f"fnstatus is silent of {kinds}")

    def server_goes_away(self) -> None:
        """Its database does; then it comes back."""
        self.feeding.fn4.database_down()
        self.says("server_away")
        self.feeding.fn4.database_down(down=False)
        self.is_silent_of("server_away")

    def loader_is_killed(self) -> None:
        """In the middle of an insert; another one is started."""
        self.feeding.fn4.insert_seconds(1.0)
        self.feeding.put_samples(f"killed-{self.looks}")
        until(lambda: self.feeding.fn4.stats()["in_flight"], "an insert is in flight", self.process)
        self.process.kill()
        self.process.communicate()
        assert {"loader_vanished", "attempts_open"} <= self.kinds()
        self.process = self.feeding.start("--interval", "0.5")
        self.is_silent_of("loader_vanished", "attempts_open")
        assert "lease_taken_over" in self.kinds()
        # Before it has begun, a store that fails ends it with 1: whoever started it must see that.
        until(lambda: all_are_in(self.feeding), "the new loader has begun", self.process)
        self.feeding.fn4.insert_seconds(0.02)

    def proxy_is_wrong(self) -> None:
        """The feed pauses until somebody resumes it."""
        self.feeding.fn4.faults({"kind": "status", "status": 413, "method": "POST"})
        self.feeding.put_samples(f"refused-{self.looks}")
        self.says("feed_paused")
        self.feeding.fn4.clear_faults()
        ((feed,),) = self.feeding.manage.rows("SELECT name FROM loader_feed")
        assert self.feeding.manage("feed", "resume", feed).returncode == 0
        assert "feed_paused" not in self.kinds()

    def files_are_bad(self) -> None:
        """Somebody takes note of them."""
        for name, (content, _) in bad_files(REFERENCE).items():
            self.feeding.put(f"{self.looks}/{name}", content)
        self.says("files_rejected")
        ((feed,),) = self.feeding.manage.rows("SELECT name FROM loader_feed")
        waiting = "SELECT 1 FROM loader_bucketobject WHERE state IN ('waiting', 'loading')"
        until(lambda: not self.feeding.manage.rows(waiting), "all are judged", self.process)
        assert self.feeding.manage("feed", "acknowledge", feed).returncode == 0
        assert "files_rejected" not in self.kinds()


@pytest.mark.timeout(0)
def test_an_unattended_run_under_faults(feeding: Feeding) -> None:
    """A daemon runs; files come, good and bad; store and server fail all the time. In the end every good sample is in,
    and at each moment `fnstatus` said what was so: what needs a person, and nothing else."""
    chance = random.Random(os.environ.get("SEED", "1"))
    feeding.fn4.insert_seconds(0.02)
    watch = Watch(feeding)
    feeding.put_samples("first")
    until(feeding.fn4.guids, "it has begun", watch.process)
    scenes = [watch.files_are_bad, watch.server_goes_away, watch.loader_is_killed, watch.proxy_is_wrong]
    end, number = time.monotonic() + MINUTES * 60, 0
    while time.monotonic() < end:
        feeding.put_samples(*[f"u{number}-{one}" for one in range(3)])
        feeding.fn4.faults({**chance.choice(SERVER_FAULTS), "times": chance.randint(1, 3)})
        feeding.oci.faults({**chance.choice(STORE_FAULTS), "times": chance.randint(1, 3)})
        time.sleep(chance.uniform(0, 1.0))
        number += 1
        if number % 5 == 0:
            watch.nothing_untrue()
        if number % 12 == 0:
            feeding.fn4.clear_faults()
            feeding.oci.clear_faults()
            until(lambda: all_are_in(feeding), "every good sample is in before the next scene", watch.process)
            watch.is_silent_of("server_away", "attempts_open")
            scenes[number // 12 % len(scenes)]()
    feeding.fn4.clear_faults()
    feeding.oci.clear_faults()
    until(lambda: all_are_in(feeding), "every good sample is in", watch.process)
    status, said = stop(watch.process)
    assert (status, "Traceback" in said) == (0, False), said[-3000:]
    feeding.assert_every_sample_is_in_once()
    assert feeding.fn4.stats()["most_in_flight"] == 1
    states = dict(feeding.manage.rows("SELECT state, count(*) FROM loader_bucketobject GROUP BY state"))
    print(f"{number} rounds, {watch.looks} looks at fnstatus: {states}", flush=True)
    assert states["loaded"] == len(feeding.sent)


def all_are_in(feeding: Feeding) -> bool:
    """Every good sample, and nothing is open. What waits for its next try has waited long enough."""
    feeding.manage.rows("UPDATE loader_bucketobject SET not_before = NULL WHERE state = 'waiting' RETURNING 1")
    return set(feeding.fn4.guids()) == set(feeding.sent) and not feeding.attempts("1", "outcome = 'open'")
