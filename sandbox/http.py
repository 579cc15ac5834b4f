"""A small HTTP/1.1 server on asyncio: quick enough that the client is what a benchmark measures.

Keep-alive, bodies with a Content-Length, `Expect: 100-continue`, HEAD; and answers that are cut short or reset.

Why it is written by hand: aiohttp's server in its place passed the tests, but slowed down what is measured. In one session
of `python -m bench.load` on two cores (this one / aiohttp 3.14): the bare script loads 500 x 30 kB at 982 / 689 samples/s and
30 x 4.4 MB at 70 / 63, fnload at 538 / 452 and 39 / 37; the busy share by medians is 98.2 % / 97.0 % (bare: 96.7 % / 95.4 %).
"""

import asyncio
import contextlib
import ctypes
import socket
import struct
import sys
import time
import traceback
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl

BUFFER_BYTES = 64 * 1024
_CONTROL = "/sandbox/"
CLIENT_GONE = 499  # only for the log: the client disconnected before it was answered
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
REASONS = {status.value: status.phrase for status in HTTPStatus}
_RECEIVED = bytearray(BUFFER_BYTES)


class RawRequest:
    """One request as received: `target`, `path` and `query_string` still percent-encoded, header names in lower case.

    `started` and `received` are monotonic seconds: the first byte seen, and all of it. `name` is what the log calls
    the thing that was asked for (an object, a guid); the service fills it in.
    """

    __slots__ = ("body", "headers", "method", "name", "path", "query_string", "received", "started", "target")

    def __init__(self, method: str, target: str, headers: dict[str, str], started: float) -> None:
        self.method = method
        self.target = target
        self.path, _, self.query_string = target.partition("?")
        self.headers = headers
        self.body = bytearray()
        self.name = ""
        self.started = started
        self.received = started

    def query(self) -> dict[str, str]:
        """The query decoded; of a name that stands twice the last one counts."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True)) if self.query_string else {}


class Response:
    """An answer. `close` ends the connection after it, `cut` sends only so many bytes of the body and then ends it.

    `drip` is the time between two bytes of the body. `reset` sends nothing at all: the client sees a connection reset by peer.
    """

    __slots__ = ("body", "close", "cut", "drip", "headers", "reset", "status")

    def __init__(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = headers if headers is not None else {}
        self.close = False
        self.cut: int | None = None
        self.drip = 0.0
        self.reset = False


class RequestHandler(Protocol):
    """What a server does with requests; it answers at once, or later with an awaitable.

    An awaitable is cancelled when its client disconnects: shield what must continue.
    """

    def handle(self, request: RawRequest) -> Response | Awaitable[Response]:
        """The answer to one request."""

    def answered(self, request: RawRequest, response: Response) -> None:
        """Called when an answer is sent."""

    def killed(self, request: RawRequest) -> None:
        """Called when the worker that was answering is killed."""


class Admission(Protocol):
    """Decides when a connection is read. One that asks for `/sandbox/…` is read at once."""

    @property
    def limited(self) -> bool:
        """Whether a connection may have to wait; then every answer ends it."""

    def opened(self, connection: "Connection") -> bool:
        """Whether it is read at once; else `let_in` is called on it later."""

    def closed(self, connection: "Connection") -> None:
        """It ended, or is none that counts."""


class BadRequestError(Exception):
    """Bytes that are not a request."""


class Connection(asyncio.BufferedProtocol):
    """One connection of a client: its requests one after the other, each answered before the next is read.

    The kernel writes large bodies straight to where they stay, and all else into one buffer that is used again.
    """

    def __init__(
        self, handler: RequestHandler, connections: set["Connection"], admission: Admission | None = None
    ) -> None:
        self._handler = handler
        self._connections = connections
        self._admission = admission
        self._waits = False
        self._running: RawRequest | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._started = 0.0
        self._request: RawRequest | None = None
        self._body: bytearray | None = None
        self._filled = 0
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._connections.add(self)
            self._waits = self._admission is not None and not self._admission.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it was lost changes nothing
        """Stop working for a disconnected client."""
        self._transport = None
        self._connections.discard(self)
        if self._admission:
            self._admission.closed(self)
        if self._task:
            self._task.cancel()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's guess
        """Where the next bytes go."""
        body = self._room()
        return memoryview(_RECEIVED) if body is None else memoryview(body)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Received bytes: answer each complete request."""
        if self._room() is not None:
            self._filled += nbytes
        else:
            if not self._buffer and self._request is None:
                self._started = time.monotonic()
            self._buffer += memoryview(_RECEIVED)[:nbytes]
        if self._waits:
            self._wait_or_ask_for_control()
        else:
            self._answer_complete_requests()

    def _wait_or_ask_for_control(self) -> None:
        """While it waits only its first line is looked at; what follows stays in the kernel, as in a backlog."""
        parts = bytes(self._buffer[:200]).split(b" ", 2)
        if len(parts) < 3 and len(self._buffer) < 200:
            return
        if len(parts) == 3 and parts[1].startswith(_CONTROL.encode()):
            self.let_in()
        elif self._transport:
            self._transport.pause_reading()

    def let_in(self) -> None:
        """Read and answer it from now on."""
        self._waits = False
        if self._transport:
            self._transport.resume_reading()
        self._answer_complete_requests()

    def _room(self) -> bytearray | None:
        """The body that waits for more bytes, None when there is none."""
        return self._body if self._body is not None and self._filled < len(self._body) else None

    def abort(self) -> None:
        """End it at once."""
        if self._transport:
            self._transport.abort()

    def kill(self) -> None:
        """Reset it, as when its process is killed, whatever it is doing."""
        transport, self._transport = self._transport, None
        if self._running:
            self._handler.killed(self._running)
        if transport:
            _reset(transport)

    def _answer_complete_requests(self) -> None:
        try:
            while self._transport and not self._task and (request := self._next()):
                if self._admission and request.path.startswith(_CONTROL):
                    self._admission.closed(self)
                outcome = self._handler.handle(request)
                if isinstance(outcome, Response):
                    self._send(request, outcome)
                else:
                    self._running = request
                    self._task = asyncio.ensure_future(self._answer_later(request, outcome))
        except BadRequestError:
            self._refuse(400)
        except Exception:  # noqa: BLE001 - a fault of the stand-in must show, and must not end it
            traceback.print_exc(file=sys.stderr)
            self._refuse(500)

    async def _answer_later(self, request: RawRequest, outcome: Awaitable[Response]) -> None:
        try:
            response = await outcome
        except asyncio.CancelledError:
            self._handler.answered(request, Response(CLIENT_GONE))
            raise
        except Exception:  # noqa: BLE001 - as above
            traceback.print_exc(file=sys.stderr)
            response = Response(500)
        self._task = self._running = None
        self._send(request, response)
        self._answer_complete_requests()

    def _refuse(self, status: int) -> None:
        if self._transport:
            self._transport.write(_head(Response(status), close=True))
            self._transport.close()
            self._transport = None

    def _next(self) -> RawRequest | None:
        if self._request is None and not self._read_head():
            return None
        request = self._request
        if request is None or self._body is None or self._filled < len(self._body):
            return None
        request.body, self._body, self._request = self._body, None, None
        request.received = time.monotonic()
        self._started = request.received
        return request

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        request = self._request = _parse_head(self._buffer[:end].decode("latin-1"), self._started)
        del self._buffer[: end + 4]
        self._begin_body(_content_length(request))
        if self._transport and request.headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _begin_body(self, length: int) -> None:
        """Take what has come of a body of known length, and leave room for the rest."""
        self._body = bytearray(length)
        self._filled = min(length, len(self._buffer))
        self._body[: self._filled] = self._buffer[: self._filled]
        del self._buffer[: self._filled]

    def _send(self, request: RawRequest, response: Response) -> None:
        transport = self._transport
        if transport is None:
            return
        self._handler.answered(request, response)
        if response.reset:
            _reset(transport)
            return
        body = b"" if request.method == "HEAD" else response.body
        if response.cut is not None:
            body = body[: response.cut]
        close = response.close or response.cut is not None or request.headers.get("connection") == "close"
        close = close or (self._admission is not None and self._admission.limited)
        head = _head(response, close=close)
        if response.drip:
            transport.write(head)
            _drip(transport, body, response.drip)
            return
        if len(body) > BUFFER_BYTES:
            transport.write(head)
            transport.write(body)
        else:
            transport.write(head + body)
        if close:
            transport.close()


def _parse_head(text: str, started: float) -> RawRequest:
    first, *lines = text.split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequestError
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequestError
        headers[name.lower()] = value.strip()
    return RawRequest(parts[0], parts[1], headers, started)


def _content_length(request: RawRequest) -> int:
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or "transfer-encoding" in request.headers:
        raise BadRequestError
    return int(length)


def _head(response: Response, *, close: bool) -> bytes:
    status = response.status
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if "content-length" not in response.headers and status not in {204, 304}:
        lines.append(f"content-length: {len(response.body)}")
    if close:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _drip(transport: asyncio.Transport, body: bytes, seconds: float) -> None:
    """Sends the body byte by byte, and ends the connection."""
    if transport.is_closing() or not body:
        transport.close()
        return
    transport.write(body[:1])
    asyncio.get_running_loop().call_later(seconds, _drip, transport, body[1:], seconds)


def _reset(transport: asyncio.Transport) -> None:
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        # With a linger of 0 seconds the kernel sends RST, as a process that is killed may, and not a tidy end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _keep_memory() -> None:
    """Let the C library reuse freed memory: requesting each body of some MB from the kernel is most of the work."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            library.mallopt(_M_TRIM_THRESHOLD, 1 << 30)


async def serve(
    handler: RequestHandler,
    port: int,
    ready: "asyncio.Future[str]",
    stop: list[int],
    admission: Admission | None = None,
) -> None:
    """Answer on 127.0.0.1 (`port` 0: a free one) until one of the file descriptors in `stop` is readable.

    `ready` gets the endpoint when connections are accepted. OSError if the port is in use.
    """
    _keep_memory()
    loop = asyncio.get_running_loop()
    connections: set[Connection] = set()
    server = await loop.create_server(
        lambda: Connection(handler, connections, admission), "127.0.0.1", port, backlog=512
    )
    ended = asyncio.Event()
    for descriptor in stop:
        loop.add_reader(descriptor, ended.set)
    ready.set_result(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        await ended.wait()
    finally:
        server.close()
        for descriptor in stop:
            with contextlib.suppress(OSError):
                loop.remove_reader(descriptor)
        for connection in list(connections):
            connection.abort()
