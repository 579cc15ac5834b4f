"""A whole HTTP answer, and how one is read from a bare socket."""

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
_MOST = 65_536
_PLAIN = re.compile(r"HTTP/1\.1 ([2-5]\d\d)(?: .*)?")
NO_LENGTH = "an answer that does not say how long it is can't be known to be whole"


class Answer(NamedTuple):
    """A whole answer, its body as it was sent."""

    status: int
    headers: Mapping[str, str]
    """Asked in any case."""
    body: bytes


def read_answer(wire: socket.socket, method: str, *, limit: int | None = None) -> tuple[Answer, bool]:
    """The answer to a request, and whether the connection may carry another one.

    With a limit, no more than that many bytes of the body are read, and a body that breaks off is returned as far as it came.

    What stores send nearly always, a head with the length of the body, is read here; all else is left to http.client,
    which takes longer over a head than the rest of a small object's exchange. Raises what both raise: OSError,
    HTTPException, and ProtocolError for an answer that can't be known to be whole.
    """
    received = b""
    while _HEAD_END not in received and len(received) <= _MOST:
        piece = wire.recv(_MOST)
        if not piece:
            break
        received += piece
    head, end, body = received.partition(_HEAD_END)
    plain = _plain(head.decode("latin-1")) if end else None
    if plain is None:
        return _by_library(received, wire, method, limit), False
    status, headers, length = plain
    wanted = length if limit is None else min(length, limit)
    pieces, missing = [body], wanted - len(body)
    while missing > 0:
        piece = wire.recv(_MOST)
        if not piece and limit is not None:
            break
        if not piece:
            raise ProtocolError(f"the answer ended {missing} bytes before its end")
        pieces.append(piece)
        missing -= len(piece)
    kept = missing == 0 and wanted == length and headers.get("connection", "keep-alive").lower() == "keep-alive"
    return Answer(status, headers, b"".join(pieces)[:wanted]), kept


def _plain(head: str) -> tuple[int, Mapping[str, str], int] | None:
    """Status, headers and length of the body; None when the head leaves any doubt about them."""
    first, *lines = head.split("\r\n")
    status = _PLAIN.fullmatch(first)
    pairs = [(name, value.strip()) for name, colon, value in (line.partition(":") for line in lines) if colon]
    headers = HTTPHeaderDict(pairs)
    # Given twice, it is joined by a comma.
    length = headers.get("content-length", "")
    if not status or status[1] in ("204", "304") or len(pairs) < len(lines) or "transfer-encoding" in headers:
        return None
    if not (length.isascii() and length.isdecimal()) or any(name != name.strip() for name, _ in pairs):
        return None
    return int(status[1]), headers, int(length)


class _Replayed(io.RawIOBase):
    """What has been received already, and then the rest: what http.client takes for a socket."""

    def __init__(self, received: bytes, wire: socket.socket) -> None:
        self._received = io.BytesIO(received)
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._received.readinto(buffer) or self._wire.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """As a socket's."""
        return io.BufferedReader(self)


def _by_library(received: bytes, wire: socket.socket, method: str, limit: int | None) -> Answer:
    response = http.client.HTTPResponse(_Replayed(received, wire), method=method)  # type: ignore[arg-type]
    response.begin()
    lengths = {*response.headers.get_all("content-length", [])}
    if limit is not None:
        return Answer(response.status, HTTPHeaderDict(response.getheaders()), response.read(limit))
    if len(lengths) > 1 or (response.status == 200 and response.length is None and not response.chunked):
        raise ProtocolError(NO_LENGTH)
    return Answer(response.status, HTTPHeaderDict(response.getheaders()), response.read())
