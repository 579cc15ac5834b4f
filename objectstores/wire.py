"""Reading from and writing to a socket within a time as a whole, however slowly the other end drips.

The time-outs of sockets, urllib3 and requests begin again with each byte. And who waits must still hear that the program is
to stop, or that a lease is due: `while_waiting` names what is called meanwhile.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")

IDLE_SECONDS = 60.0
"""Without a byte."""
TOTAL_FACTOR = 10
"""How many times as long one request and its response may take as a whole."""
SLICE_SECONDS = 1.0
MAX_BODY = 64_000_000
"""Bytes of a response, unless its reader has a limit of its own."""
_CHUNK_SIZE = 65_536

_thread = threading.local()


@contextmanager
def while_waiting(call: Callable[[], None]) -> Iterator[None]:
    """In this thread, until the end of the block: `call` is called about once a second while another program is waited for.
    What it raises ends the exchange."""
    before = getattr(_thread, "call", None)
    _thread.call = call
    try:
        yield
    finally:
        _thread.call = before


def still_waiting() -> None:
    """Calls what `while_waiting` names."""
    if call := getattr(_thread, "call", None):
        call()


class Wire:
    """A connected socket for one request and its response, which may take `idle` seconds without a byte, and `total` in all.

    Raises TimeoutError, and what a socket raises.
    """

    def __init__(self, sock: socket.socket, *, idle: float = IDLE_SECONDS, total: float = 0.0) -> None:
        self._sock, self._idle, self._total = sock, idle, total or TOTAL_FACTOR * idle
        now = monotonic()
        self._until, self._call_at = now + self._total, now + SLICE_SECONDS

    def recv(self, size: int) -> bytes:
        """As that of a socket."""
        return self._within_time(lambda: self._sock.recv(size))

    def recv_into(self, buffer: WriteableBuffer) -> int:
        """As that of a socket."""
        return self._within_time(lambda: self._sock.recv_into(buffer))

    def sendall(self, data: bytes | memoryview) -> None:
        """As that of a socket."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._within_time(lambda part=rest[:_CHUNK_SIZE]: self._sock.send(part)) :]  # type: ignore[misc]

    def _within_time(self, operation: Callable[[], T]) -> T:
        idle_until = monotonic() + self._idle
        while True:
            now = monotonic()
            if now >= self._call_at:
                self._call_at = now + SLICE_SECONDS
                still_waiting()
            if now >= self._until:
                raise TimeoutError(f"not complete within {self._total:g} s")
            if now >= idle_until:
                raise TimeoutError(f"no response within {self._idle:g} s")
            self._sock.settimeout(min(SLICE_SECONDS, self._until - now, idle_until - now))
            try:
                return operation()
            except TimeoutError:
                continue


class WireFile(io.RawIOBase):
    """What http.client reads a response from: what was received already, then the rest."""

    def __init__(self, wire: Wire, received: bytes = b"", owner: io.IOBase | None = None) -> None:
        self._received, self._wire, self._owner = io.BytesIO(received), wire, owner

    def readable(self) -> bool:
        """As that of a file."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """As that of a file."""
        return self._received.readinto(buffer) or self._wire.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """As that of a socket."""
        return io.BufferedReader(self)

    def close(self) -> None:
        """Closes it, and lets the socket close."""
        super().close()
        if self._owner:
            self._owner.close()


class _WireResponse(http.client.HTTPResponse):
    """A response whose head and body are read by a `Wire`; `idle` is the time-out of the socket."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:  # noqa: ANN401 - http.client's
        wire = Wire(sock, idle=sock.gettimeout() or IDLE_SECONDS)
        # http.client may close its connection before the body is read: the socket stays open while a file of it is.
        file = WireFile(wire, owner=sock.makefile("rb", buffering=0))
        super().__init__(file, *args, **options)  # type: ignore[arg-type] # it only makes a file of it


class WireConnection(HTTPConnection):
    """A connection of urllib3 whose responses are read by a `Wire`."""

    response_class = _WireResponse


class WireTLSConnection(HTTPSConnection):
    """The same over TLS."""

    response_class = _WireResponse


class WirePool(HTTPConnectionPool):
    """A pool of such connections."""

    ConnectionCls = WireConnection


class WireTLSPool(HTTPSConnectionPool):
    """A pool of such connections."""

    ConnectionCls = WireTLSConnection


POOLS = {"http": WirePool, "https": WireTLSPool}
"""For `pool_classes_by_scheme` of urllib3's pool managers."""
