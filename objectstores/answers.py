"""A complete HTTP response, and how to read one from a socket, or as JSON."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from urllib3 import HTTPHeaderDict
from urllib3.exceptions import ProtocolError

from objectstores.wire import MAX_BODY, Wire, WireFile

_HEAD_END = b"\r\n\r\n"
_CHUNK_SIZE = 65_536
_MAX_DIGITS = 18
_STATUS_LINE = re.compile(r"HTTP/1\.1 ([2-5]\d\d)(?: [^\r\n]*)?")
# RFC 9110, 5.5; a value with a control character may be several lines to http.client.
_HEADER_LINES = re.compile(r"(?:\r\n[!-9;-~]+:[\t -~\xa0-\xff]*)*")
NO_LENGTH = "the response has no length, so it may be incomplete"
MIN_SECRET_LENGTH = 6
"""Shorter ones are not hidden: they would be found in ordinary words."""
PASSWORD = re.compile(r"(?<=//)\S*:\S*(?=@)")
_SEPARATORS = re.compile(r"[^A-Za-z0-9_-]+")


class Answer(NamedTuple):
    """A complete response, its body as it was sent."""

    status: int
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes


def read_answer(wire: Wire, method: str, *, limit: int | None = None) -> tuple[Answer, bool]:
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
        try:
            return _read_by_http_client(received, wire, method, limit), False
        except (ValueError, OverflowError) as error:
            # http.client reads a chunk of any length, also one below zero or beyond 64 bits.
            raise http.client.HTTPException(f"malformed response: {error}") from error
    status, headers, length = parsed
    if limit is None and length > MAX_BODY:
        raise ProtocolError(f"a response of {length:,} bytes")
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
    status = _STATUS_LINE.match(head)
    if not status or status[1] in ("204", "304") or not _HEADER_LINES.fullmatch(head, status.end()):
        return None
    headers = _Headers()
    for line in head[status.end() + 2 :].split("\r\n") if status.end() < len(head) else ():
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip("\t ")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    # Two of them are no number.
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal() and len(length) <= _MAX_DIGITS) or "transfer-encoding" in headers:
        return None
    return int(status[1]), headers, int(length)


class _Headers(dict[str, str]):
    """Headers by their lower-case names: urllib3's dictionary takes as long as all the rest of a small exchange."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - dict's
        """As that of a dict."""
        return super().get(name.lower(), default)


def _read_by_http_client(received: bytes, wire: Wire, method: str, limit: int | None) -> Answer:
    response = http.client.HTTPResponse(WireFile(wire, received), method=method)  # type: ignore[arg-type]
    response.begin()
    lengths = {*response.headers.get_all("content-length", [])}
    if limit is not None:
        return Answer(response.status, HTTPHeaderDict(response.getheaders()), response.read(limit))
    if len(lengths) > 1 or (response.status == 200 and response.length is None and not response.chunked):
        raise ProtocolError(NO_LENGTH)
    body = response.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise ProtocolError(f"a response of more than {MAX_BODY:,} bytes")
    if response.length:
        raise ProtocolError(f"the response ended {response.length} bytes early")
    return Answer(response.status, HTTPHeaderDict(response.getheaders()), body)


def from_json(text: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """The value of a JSON text from outside. Raises ValueError, also for one that is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def hide(body: bytes, secrets: Iterable[str]) -> bytes:
    """What somebody answered, with `***` for each part of a secret that he repeats, however he escaped the rest of it."""
    parts = {part for secret in secrets for part in (secret, *_SEPARATORS.split(secret))}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= MIN_SECRET_LENGTH:
            body = body.replace(part.encode(), b"***")
    return body


def without_password(url: str) -> str:
    """The URL, right or wrong, for a message: without user and password, and without its query."""
    return PASSWORD.sub("***", url).partition("?")[0]
