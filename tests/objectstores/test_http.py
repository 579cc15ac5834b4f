"""How requests go over the wire."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from objectstores import Unavailable
from objectstores.http import Connections
from tests.support.raw_server import RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Wire(RawServer):
    """A server that writes down each piece that arrives; `hang_up`: it then leaves."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.hang_up = 0
        super().__init__()

    def answer_all(self, connection: socket.socket) -> None:
        whole = b""
        while piece := connection.recv(1_000_000):
            self.pieces.append(piece)
            whole += piece
            head, end, body = whole.partition(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            length = int(lengths[0].split(b":")[1]) if lengths else 0
            if not end or len(body) < length:
                continue
            if self.hang_up:
                self.hang_up -= 1
                return
            connection.sendall(OK)
            whole = b""


@pytest.fixture
def wire() -> Iterator[Wire]:
    server = Wire()
    yield server
    server.close()


@pytest.fixture
def connections(wire: Wire) -> Iterator[Connections]:
    kept = Connections(wire.endpoint)
    yield kept
    kept.close()


def test_a_small_body_goes_out_with_its_head(wire: Wire, connections: Connections) -> None:
    for content in (b"x", b"y" * 2000):
        assert connections.send("PUT", "/b/key", {"host": "h"}, content).body == b"ok"
        assert wire.pieces[-1].startswith(b"PUT /b/key HTTP/1.1\r\n")
        assert wire.pieces[-1].endswith(b"\r\n\r\n" + content)
    assert len(wire.pieces) == 2


def test_a_large_body_arrives_whole(wire: Wire, connections: Connections) -> None:
    content = bytes(range(256)) * 4096
    assert connections.send("PUT", "/b/key", {}, content).body == b"ok"
    assert b"".join(wire.pieces).endswith(b"\r\n\r\n" + content)


def test_requests_without_a_body_are_sent_at_once(wire: Wire, connections: Connections) -> None:
    for body in (None, b""):
        assert connections.send("PUT", "/b/key", {}, body).body == b"ok"
    assert connections.send("GET", "/b/key", {}).body == b"ok"
    assert len(wire.pieces) == 3


def test_nothing_of_a_request_that_failed_is_in_the_next_one(wire: Wire, connections: Connections) -> None:
    wire.hang_up = 1
    with pytest.raises(Unavailable):
        connections.send("PUT", "/b/first", {}, b"one")
    assert connections.send("PUT", "/b/second", {}, b"two").body == b"ok"
    assert wire.pieces[-1].startswith(b"PUT /b/second ")
    assert wire.pieces[-1].endswith(b"\r\n\r\ntwo")
