"""Answers of servers, as they come over a connection: read as http.client reads them, or not at all."""

from __future__ import annotations

import http.client
import io
import socket

from urllib3.exceptions import ProtocolError

from objectstores.answers import read_answer
from objectstores.wire import Wire

LIMIT = 64


class ReceivedSocket:
    """A socket whose other end has sent this, and hung up."""

    def __init__(self, came: bytes) -> None:
        self._came = io.BytesIO(came)

    def settimeout(self, _seconds: float) -> None:
        """Nothing is waited for."""

    def recv(self, size: int) -> bytes:
        # In pieces, as it may come.
        return self._came.read(min(size, 1000))

    def recv_into(self, buffer: bytearray) -> int:
        return self._came.readinto(memoryview(buffer)[:1000])

    def makefile(self, _mode: str) -> io.BytesIO:
        return self._came


def check(data: bytes) -> None:
    limited, whole = (_by_us(data, limit) for limit in (LIMIT, None))
    if limited:
        assert len(limited[1]) <= LIMIT
        assert limited == _by_library(data)
    # A whole answer begins with what is read with a limit.
    assert not whole or (limited and whole[0] == limited[0] and whole[1][:LIMIT] == limited[1])


def _by_us(data: bytes, limit: int | None) -> tuple[int, bytes] | None:
    sock: socket.socket = ReceivedSocket(data)  # type: ignore[assignment]
    try:
        answer, _ = read_answer(Wire(sock), "POST", limit=limit)
    except (OSError, http.client.HTTPException, ProtocolError):
        return None
    assert 100 <= answer.status <= 999
    return answer.status, answer.body


def _by_library(data: bytes) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(ReceivedSocket(data), method="POST")  # type: ignore[arg-type]
    response.begin()
    return response.status, response.read(LIMIT)
