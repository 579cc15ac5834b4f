"""Long runs (`make soak`), not part of `make test`: many kills, and hours of faults in minutes.

`make soak KILLS=1000 MINUTES=10`: how many kills, and how long the unattended run lasts.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from sandbox.genomes import bad_files
from tests.fixtures_loader import REFERENCE, Feeding
from tests.test_fnload_faults import stop, until
from tests.test_fnload_kill import assert_all_is_true, start_and_kill

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


@pytest.mark.timeout(0)
def test_an_unattended_run_under_faults(feeding: Feeding) -> None:
    """A daemon runs; files come, good and bad; store and server fail all the time. In the end every good sample is in."""
    chance = random.Random(os.environ.get("SEED", "1"))
    feeding.fn4.insert_seconds(0.02)
    process = feeding.start("--interval", "0.5")
    feeding.put_samples("first")
    until(feeding.fn4.guids, "it has begun", process)
    end, number = time.monotonic() + MINUTES * 60, 0
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        feeding.put_samples(*[f"u{number}-{one}" for one in range(3)])
        for name, (content, _) in bad_files(REFERENCE).items() if number % 20 == 0 else ():
            feeding.put(f"{number}/{name}", content)
        feeding.fn4.faults({**chance.choice(SERVER_FAULTS), "times": chance.randint(1, 3)})
        feeding.oci.faults({**chance.choice(STORE_FAULTS), "times": chance.randint(1, 3)})
        time.sleep(chance.uniform(0, 1.0))
        number += 1
    feeding.fn4.clear_faults()
    feeding.oci.clear_faults()
    good = set(feeding.sent)

    def all_are_in() -> bool:
        # What waits for its next try has waited long enough.
        feeding.manage.rows("UPDATE loader_bucketobject SET not_before = NULL WHERE state = 'waiting' RETURNING 1")
        return set(feeding.fn4.guids()) == good and not feeding.attempts("1", "outcome = 'open'")

    until(all_are_in, "every good sample is in", process)
    status, said = stop(process)
    assert (status, "Traceback" in said) == (0, False), said[-3000:]
    feeding.assert_every_sample_is_in_once()
    assert feeding.fn4.stats()["most_in_flight"] == 1
    states = dict(feeding.manage.rows("SELECT state, count(*) FROM loader_bucketobject GROUP BY state"))
    print(f"{number} rounds: {states}", flush=True)
    assert states["loaded"] == len(good)
