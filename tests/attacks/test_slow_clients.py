"""Clients that send a request slowly, or in part, or never take the answer: whom they keep out."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice

import pytest

from core.web_worker import REQUEST_TIMEOUT
from tests.support.fork_server import ROOT
from tests.support.site import Manage
from tests.support.waiting import until

CLIENTS = 210
HALVES = (
    b"G",
    b"GET /login/ HTTP/1.1\r\nHost: localhost\r\nX-Long: ",
    b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nusername=",
    b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"GET /login/ HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,
)
"""What they send; the last one sends whole requests, and takes no answer."""


@pytest.fixture
def site(manage: Manage) -> Iterator[int]:
    """The port of gunicorn with the site's own settings, on a migrated database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    environment = manage._settings({"BIND": f"127.0.0.1:{port}"})
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    until(lambda: status(port, "/healthz") == 200, "the site answers")
    yield port
    process.terminate()
    assert process.wait(60) == 0


def status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            answer.read()
            return int(answer.status)
    except OSError:
        return 0


def test_two_hundred_keep_nobody_else_out_and_are_left(site: int) -> None:
    with ExitStack() as stack:
        slow = []
        for half in islice(cycle(HALVES), CLIENTS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", site)))
            client.sendall(half)
            slow.append(client)
        with ThreadPoolExecutor(8) as others:
            answers = list(others.map(lambda path: status(site, path), ["/healthz", "/login/", "/readyz"] * 8))
        assert answers == [200] * 24
        for client in slow:
            client.settimeout(60 + REQUEST_TIMEOUT)
            while client.recv(1 << 20):
                pass
    assert status(site, "/login/") == 200


def test_a_body_that_comes_in_pieces_is_read(site: int) -> None:
    with socket.create_connection(("127.0.0.1", site)) as client:
        client.sendall(
            b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n"
        )
        client.settimeout(20)
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for piece in (b"user", b"name", b"=abc"):
            client.sendall(piece)
        answer = client.recv(65_536)
        while b"403 Forbidden" not in answer:  # No token: the site has read the body.
            more = client.recv(65_536)
            assert more, answer
            answer += more
