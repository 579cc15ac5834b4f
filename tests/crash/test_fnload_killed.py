"""fnload killed, stopped and run twice: one insert in flight, every sample in once, every attempt closed truthfully."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.feeding import Feeding
from tests.support.truth import assert_all_is_true
from tests.support.waiting import stop, until

SAMPLES = [f"s{number}" for number in range(40)]
SAMPLES_TAKE = 10
"""Inserts after which a loader is killed, at the latest."""


def start_and_kill(feeding: Feeding, after: float) -> None:
    """Starts a pass, and kills it so many seconds after it first spoke to the server."""
    before = feeding.fn4.requests()
    process = feeding.start("--once")
    until(lambda: process.poll() is not None or feeding.fn4.requests() > before, "it talks to the server")
    time.sleep(after)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("seconds", [0.05, 0.004])
def test_it_can_be_killed_at_any_moment(feeding: Feeding, chance: random.Random, seconds: float) -> None:
    """A server that is slower, and one for which the starts of several inserts are committed ahead."""
    feeding.put_samples(*SAMPLES)
    feeding.fn4.insert_seconds(seconds)
    for _ in range(5):
        start_and_kill(feeding, chance.uniform(0, SAMPLES_TAKE * seconds))
    result = feeding.load()
    assert result.returncode in (0, 10), result.stderr
    assert_all_is_true(feeding)


def test_a_dead_owner_on_this_host_is_noticed_at_once(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    feeding.fn4.insert_seconds(0.5)
    process = feeding.start()
    until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", process)
    process.kill()
    process.communicate()
    ((token, fence),) = feeding.manage.rows("SELECT lease_token, fence FROM loader_server")
    assert token, "it held the lease when it died"
    result = feeding.load()
    assert result.returncode == 0, result.stderr
    assert feeding.manage.rows("SELECT lease_token, fence FROM loader_server") == [("", fence + 1)]
    assert feeding.attempts("seqid, outcome, insert_status_code", "insert_start_time IS NOT NULL") == [
        ("s1", "found", None),
        ("s2", "inserted", 200),
    ]
    assert_all_is_true(feeding)


def test_an_owner_on_another_host_is_taken_over_when_its_lease_has_expired(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    feeding.fn4.insert_seconds(0.5)
    process = feeding.start(HOST_NAME="test-host")
    until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", process)
    process.kill()
    process.communicate()
    feeding.manage.rows(
        "UPDATE loader_server SET lease_process = 'another-boot 1 1', lease_host = 'far-away' RETURNING 1"
    )
    refused = feeding.load()
    assert (refused.returncode, "far-away" in refused.stderr) == (1, True)
    feeding.manage.rows("UPDATE loader_server SET lease_expires = '2026-01-01 00:00:00+00' RETURNING 1")
    result = feeding.load()
    assert result.returncode == 0, result.stderr
    assert_all_is_true(feeding)


def test_an_owner_that_was_stopped_and_taken_over_does_no_harm_when_it_comes_back(feeding: Feeding) -> None:
    feeding.put_samples(*SAMPLES[:10])
    feeding.fn4.insert_seconds(0.2)
    first = feeding.start("--interval", "0.2")
    until(lambda: feeding.fn4.stats()["samples"] >= 2, "some samples are in", first)
    stop_between_transactions(feeding, first)
    feeding.manage.rows("UPDATE loader_server SET lease_expires = '2026-01-01 00:00:00+00' RETURNING 1")
    result = feeding.load()
    assert result.returncode in (0, 10), result.stderr
    first.send_signal(signal.SIGCONT)
    feeding.put_samples("late")
    feeding.manage.rows("UPDATE loader_bucketobject SET not_before = NULL RETURNING 1")
    until(lambda: len(feeding.fn4.guids()) == 11, "the first one goes on", first)
    until(lambda: {state for _, state, _ in feeding.objects()} == {"loaded"}, "all is recorded", first)
    status, said = stop(first)
    assert (status, "Traceback" in said) == (0, False), said
    assert_all_is_true(feeding)


def stop_between_transactions(feeding: Feeding, process: subprocess.Popen[str]) -> None:
    """SIGSTOP; where it fell into a transaction, whose locks nobody else could end, again a little later."""
    while True:
        process.send_signal(signal.SIGSTOP)
        if not in_a_transaction(feeding):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.05)


def in_a_transaction(feeding: Feeding) -> bool:
    """Whether anybody holds what a loader would wait for."""
    import sqlite3

    url = feeding.manage.environment["DATABASE_URL"]
    if not url.startswith("sqlite"):
        others = "datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        return bool(feeding.manage.rows(f"SELECT 1 FROM pg_stat_activity WHERE {others}"))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0.2, isolation_level=None)) as lite:
        try:
            lite.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


def test_two_loaders_at_once_insert_one_at_a_time(feeding: Feeding) -> None:
    feeding.put_samples(*SAMPLES[:20])
    feeding.fn4.insert_seconds(0.05)
    both = [feeding.start("--once"), feeding.start("--once", HOST_NAME="test-host")]
    ended = [(process.communicate(timeout=60), process.returncode) for process in both]
    assert sorted(status for _, status in ended)[0] == 0, ended
    assert feeding.load().returncode == 0
    assert_all_is_true(feeding)


def test_a_server_that_is_killed_and_started_again_gets_all_samples(feeding: Feeding, tmp_path: Path) -> None:
    from sandbox.clients import Fn4Sandbox

    feeding.put_samples(*SAMPLES[:12])
    with Fn4Sandbox(600, store=str(tmp_path / "samples"), insert_seconds=0.2) as server:
        feeding.fn4 = server
        process = feeding.start("--interval", "0.3")
        for count in (1, 4):
            until(lambda wanted=count: server.stats()["samples"] >= wanted, "samples are in", process)  # type: ignore[misc]
            server.kill()
            time.sleep(0.5)
            server.start()

        def all_are_in() -> bool:
            feeding.manage.rows("UPDATE loader_bucketobject SET not_before = NULL WHERE state = 'waiting' RETURNING 1")
            return len(server.guids()) == 12

        until(all_are_in, "all samples are in", process)
        until(lambda: not feeding.attempts("1", "outcome = 'open'"), "all attempts are closed", process)
        assert stop(process)[0] == 0
        feeding.assert_every_sample_is_in_once()
