"""A server with one worker: nothing of ours holds it while a question is asked, or for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from loader.fn4.client import FindNeighbour4
from sandbox.clients import Fn4Sandbox
from sandbox.genomes import mutant
from tests.support.feeding import LENGTH, REFERENCE, Feeding
from tests.support.waiting import until

SEQUENCE = REFERENCE.encode()


@pytest.fixture
def fn4() -> Iterator[Fn4Sandbox]:
    """One worker."""
    with Fn4Sandbox(LENGTH, workers=1) as server:
        yield server


def test_a_question_closes_the_connection_that_was_opened_ahead(fn4: Fn4Sandbox) -> None:
    with closing(FindNeighbour4(fn4.url)) as client:
        client.prepare("s1", SEQUENCE)
        until(lambda: fn4.stats()["workers_busy"], "it occupies the worker")
        assert not client.exists("s1")
        assert client.engine().reference_length == LENGTH
        assert client.begin_insert("s1", SEQUENCE).wait().status == 200
        assert client.exists("s1")


def test_the_last_answer_and_a_closed_client_hold_no_worker(fn4: Fn4Sandbox) -> None:
    client = FindNeighbour4(fn4.url)
    client.prepare("s1", SEQUENCE)
    client.close_idle()
    with closing(FindNeighbour4(fn4.url)) as other:
        assert other.begin_insert("s1", SEQUENCE).wait().status == 200
        assert client.exists("s1")
    until(lambda: not fn4.stats()["workers_busy"], "nothing holds it")


def test_an_idle_connection_is_closed_though_the_insert_in_flight_takes_long(fn4: Fn4Sandbox) -> None:
    fn4.workers(2)
    fn4.insert_seconds(30.0)
    with closing(FindNeighbour4(fn4.url)) as client, closing(FindNeighbour4(fn4.url)) as other:
        pending = client.begin_insert("s1", SEQUENCE, lambda: client.close_idle(even_if_young=False))
        client.prepare("s2", SEQUENCE)
        until(lambda: fn4.stats()["workers_busy"] == 2, "both workers are taken")
        waiting = threading.Thread(target=pending.wait)
        waiting.start()
        assert not other.exists("s2")
        assert fn4.stats()["in_flight"] == 1, "the insert goes on"
        fn4.kill()
        waiting.join()


@pytest.mark.parametrize(("workers", "only_one"), [(1, True), (2, False), (0, False)])
def test_one_worker_is_found_out(fn4: Fn4Sandbox, workers: int, only_one: bool) -> None:
    fn4.workers(workers)
    with closing(FindNeighbour4(fn4.url)) as client:
        client.probe()
        assert client.has_one_worker() is only_one
        assert not client.exists("s1")


def test_all_is_loaded_at_the_first_run_though_questions_come_between(feeding: Feeding) -> None:
    feeding.fn4.workers(1)
    feeding.fn4.insert_seconds(0.02)
    feeding.put_samples(*(f"s{number:02}" for number in range(20)))
    feeding.fn4.insert("s05", mutant(REFERENCE, 5))
    feeding.fn4.faults(
        {"kind": "status", "status": 503, "method": "POST", "when": "after", "name_prefix": "s07"},
        {"kind": "reset", "method": "POST", "when": "after", "name_prefix": "s11"},
    )
    told = feeding.load()
    assert "unavailable" not in told.stdout + told.stderr
    assert (told.returncode, len(feeding.fn4.guids())) == (0, 20), told.stdout + told.stderr
    assert feeding.attempts("1", "outcome = 'open'") == []
