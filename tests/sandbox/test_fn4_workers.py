"""The findNeighbour4 stand-in's sync workers: a connection holds one from its acceptance to its end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import requests

from sandbox.clients import Fn4Sandbox
from tests.sandbox.calls import GOOD, LENGTH, exists, get, insert, wait_until


@contextmanager
def opened(box: Fn4Sandbox, sent: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which so much was sent, once the server knows of it."""
    before = sum(box.stats()[name] for name in ("workers_busy", "connections_waiting"))
    where = urlsplit(box.endpoint)
    with socket.create_connection((where.hostname, where.port), timeout=5) as connection:
        connection.sendall(sent)
        wait_until(lambda: sum(box.stats()[name] for name in ("workers_busy", "connections_waiting")) == before + 1)
        yield connection


def status(connection: socket.socket) -> int:
    return int(connection.recv(4096).split(b" ")[1])


def test_an_idle_connection_holds_the_worker_until_it_is_closed(box: Fn4Sandbox) -> None:
    box.workers(1)
    with opened(box):
        with pytest.raises(requests.exceptions.ReadTimeout):
            get(box, "server_time", timeout=0.2)
        assert box.stats()["workers_busy"] == 1
    assert get(box, "server_time").status_code == 200


def test_two_workers_serve_beside_one_idle_connection(box: Fn4Sandbox) -> None:
    box.workers(2)
    with opened(box):
        assert get(box, "server_time").status_code == 200
        with opened(box), pytest.raises(requests.exceptions.ReadTimeout):
            get(box, "server_time", timeout=0.2)


def test_without_a_limit_idle_connections_are_in_nobodys_way(box: Fn4Sandbox) -> None:
    where = urlsplit(box.endpoint)
    with socket.create_connection((where.hostname, where.port)), socket.create_connection((where.hostname, where.port)):
        assert get(box, "server_time").status_code == 200


def test_waiting_connections_are_served_in_their_order(box: Fn4Sandbox) -> None:
    box.workers(1)
    form = b"guid=%s&seq=" + GOOD.encode()
    head = (
        b"POST /api/v2/insert HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 52\r\n\r\n"
    )
    with opened(box) as first, opened(box, head + form % b"s2") as second, opened(box, head + form % b"s3") as third:
        first.sendall(head + form % b"s1")
        assert [status(connection) for connection in (first, second, third)] == [200, 200, 200]
    assert box.guids() == ["s1", "s2", "s3"]


def test_a_client_that_no_longer_waits_is_served_all_the_same(box: Fn4Sandbox) -> None:
    box.workers(1)
    with opened(box):
        with pytest.raises(requests.exceptions.ReadTimeout):
            insert(box, "s1", timeout=0.1)
        assert box.guids() == []
    wait_until(lambda: box.guids() == ["s1"])


def test_a_large_body_waits_and_arrives_whole() -> None:
    genome = "ACGT" * 1_100_000
    with Fn4Sandbox(len(genome), workers=1) as box:
        answers: list[int] = []
        with opened(box):
            thread = threading.Thread(target=lambda: answers.append(insert(box, "tb", genome, timeout=30).status_code))
            thread.start()
            wait_until(lambda: box.stats()["connections_waiting"] == 1)
            assert answers == []
        thread.join()
        assert answers == [200]
        assert box.samples()["tb"]["length"] == len(genome)


def test_every_answer_frees_the_worker_also_one_of_a_proxy(box: Fn4Sandbox) -> None:
    box.workers(1)
    box.faults({"kind": "page", "times": 1})
    with requests.Session() as session:
        assert session.get(f"{box.url}/api/v2/guids", timeout=5).headers["Connection"] == "close"
        assert exists(box, "s1") is False


def test_control_calls_never_wait_nor_hold_a_worker(box: Fn4Sandbox) -> None:
    box.workers(1)
    stats = b"GET /sandbox/stats HTTP/1.1\r\n\r\n"
    with opened(box):
        assert box.stats()["workers_busy"] == 1
        box.insert("s1", "ACGT" * 10)
        with opened(box) as waiting:
            waiting.sendall(stats)
            assert status(waiting) == 200
    with opened(box) as first:
        first.sendall(stats[:5])
        time.sleep(0.05)
        first.sendall(stats[5:])
        assert status(first) == 200
        assert exists(box, "s1")


def test_a_worker_that_is_held_too_long_is_killed_and_its_connection_reset(box: Fn4Sandbox) -> None:
    box.workers(1, timeout=0.2)
    with opened(box) as connection:
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        assert get(box, "server_time").status_code == 200
    assert box.stats()["workers_killed"] == 1


def test_an_insert_that_takes_too_long_dies_with_its_worker_and_leaves_the_lock(box: Fn4Sandbox) -> None:
    box.workers(1, timeout=0.2)
    box.insert_seconds(0.4)
    with pytest.raises(requests.exceptions.ConnectionError):
        insert(box, "s1")
    time.sleep(0.4)
    assert (box.guids(), box.stats()["in_flight"]) == ([], 0)
    assert insert(box, "s1").status_code == 409
    box.stuck_lock(on=False)
    box.insert_seconds(0)
    assert insert(box, "s1").status_code == 200


def test_workers_can_be_added_while_connections_wait(box: Fn4Sandbox) -> None:
    box.workers(1)
    with opened(box), opened(box, b"GET /api/v2/server_time HTTP/1.1\r\n\r\n") as waiting:
        box.workers(0)
        assert status(waiting) == 200


def test_they_are_an_option_too() -> None:
    with Fn4Sandbox(LENGTH, workers=3, worker_timeout=0.1) as box:
        assert box.stats()["workers"] == 3
        with opened(box) as connection, pytest.raises(ConnectionResetError):
            connection.recv(1)
