"""A complete HTTP response, and how to read one from a socket."""

from __future__ import annotations

import http.client
import io
import re
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from urllib3 import HTTPHeaderDict
from urllib3.exceptions import ProtocolError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_HEAD_END = b"\r\n\r\n"
_CHUNK_SIZE = 65_536
_STATUS_LINE = re.compile(r"HTTP/1\.1 ([2-5]\d\d)(?: .*)?")
NO_LENGTH = "the response has no length, so it may be incomplete"


class Answer(NamedTuple):
    """A complete response, its body as it was sent."""

    status: int
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes


def read_answer(wire: socket.socket, method: str, *, limit: int | None = None) -> tuple[Answer, bool]:
    """The response to a request, and whether the connection can be reused.

    With a limit, at most that many bytes of the body are read, and a truncated body is returned as far as it arrived.

    A head with the length of the body, which stores nearly always send, is parsed here; all else is left to http.client,
    which takes longer for a head than the rest of a small object's exchange takes. Raises OSError, HTTPException, and
    ProtocolError for a response that may be incomplete.
    """
    received = b""
    while _HEAD_END not in received and len(received) <= _CHUNK_SIZE:
        chunk = wire.recv(_CHUNK_SIZE)
        if not chunk:
            break
        received += chunk
    head, end, body = received.partition(_HEAD_END)
    parsed = _parse_head(head.decode("latin-1")) if end else None
    if parsed is None:
        return _read_by_http_client(received, wire, method, limit), False
    status, headers, length = parsed
    expected = length if limit is None else min(length, limit)
    chunks, missing = [body], expected - len(body)
    while missing > 0:
        chunk = wire.recv(_CHUNK_SIZE)
        if not chunk and limit is not None:
            break
        if not chunk:
            raise ProtocolError(f"the response ended {missing} bytes early")
        chunks.append(chunk)
        missing -= len(chunk)
    reusable = missing == 0 and expected == length and headers.get("connection", "keep-alive").lower() == "keep-alive"
    return Answer(status, headers, b"".join(chunks)[:expected]), reusable


def _parse_head(head: str) -> tuple[int, Mapping[str, str], int] | None:
    """Status, headers and length of the body; None if any of them is in doubt."""
    first, *lines = head.split("\r\n")
    status = _STATUS_LINE.fullmatch(first)
    pairs = [(name, value.strip()) for name, colon, value in (line.partition(":") for line in lines) if colon]
    headers = HTTPHeaderDict(pairs)
    # Two of them are joined by a comma.
    length = headers.get("content-length", "")
    if not status or status[1] in ("204", "304") or len(pairs) < len(lines) or "transfer-encoding" in headers:
        return None
    if not (length.isascii() and length.isdecimal()) or any(name != name.strip() for name, _ in pairs):
        return None
    return int(status[1]), headers, int(length)


class _ReplayedSocket(io.RawIOBase):
    """A socket for http.client: what has been received already, then the rest."""

    def __init__(self, received: bytes, wire: socket.socket) -> None:
        self._received = io.BytesIO(received)
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._received.readinto(buffer) or self._wire.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """As that of a socket."""
        return io.BufferedReader(self)


def _read_by_http_client(received: bytes, wire: socket.socket, method: str, limit: int | None) -> Answer:
    response = http.client.HTTPResponse(_ReplayedSocket(received, wire), method=method)  # type: ignore[arg-type]
    response.begin()
    lengths = {*response.headers.get_all("content-length", [])}
    if limit is not None:
        return Answer(response.status, HTTPHeaderDict(response.getheaders()), response.read(limit))
    if len(lengths) > 1 or (response.status == 200 and response.length is None and not response.chunked):
        raise ProtocolError(NO_LENGTH)
    return Answer(response.status, HTTPHeaderDict(response.getheaders()), response.read())
