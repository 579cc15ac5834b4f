"""One insert over a raw connection, which is opened and filled ahead of its turn."""

from __future__ import annotations

import http.client
import re
import select
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import quote

from loader.fn4.responses import InsertResponse

READ_SECONDS = 180.0
QUESTION_SECONDS = 10.0
FRESH_SECONDS = 5.0
"""A connection that was opened ahead is not used when it is older: proxies and workers hang up on idle ones."""
LARGEST_ANSWER = 64 * 1024


class BufferedConnection(http.client.HTTPConnection):
    """A connection that holds a request back until it is told to go: then all of it leaves at once."""

    _held = b""

    def send(self, data: Any) -> None:  # noqa: ANN401 - http.client's; bytes here
        """Keeps what is to be sent."""
        self._held += data

    def go(self) -> None:
        """Sends it."""
        self.sock.sendall(self._held)


class BufferedTLSConnection(BufferedConnection, http.client.HTTPSConnection):
    """The same over TLS."""


@dataclass(frozen=True, slots=True)
class PreparedInsert:
    """An insert of which nothing was sent yet: a connection that holds it."""

    guid: str
    connection: BufferedConnection
    made: float

    def is_fresh(self) -> bool:
        """Whether the other end can be expected to listen: it has neither spoken nor hung up."""
        return monotonic() - self.made < FRESH_SECONDS and not select.select([self.connection.sock], [], [], 0)[0]


class PendingInsert:
    """One insert on its way. `answer` waits for its end, however it ends."""

    def __init__(self, prepared: PreparedInsert) -> None:
        connection = self._connection = prepared.connection
        self._until = monotonic() + READ_SECONDS
        self._broken = ""
        connection.sock.settimeout(READ_SECONDS)
        try:
            connection.go()
        except OSError as error:
            # A proxy may answer before it has read everything (413) and hang up: its answer is still there to be read.
            self._broken = f"the connection broke while sending ({error})"

    def answer(self, beat: Callable[[], None]) -> InsertResponse:
        """The server's answer, or an Answer of status 0. Calls `beat` a few times a minute while it waits."""
        try:
            while not select.select([self._connection.sock], [], [], 5.0)[0]:
                beat()
                if monotonic() > self._until:
                    return InsertResponse(0, error=f"no answer within {READ_SECONDS:g} s")
            self._connection.sock.settimeout(QUESTION_SECONDS)
            return read_plain_answer(self._peek()) or self._any_answer()
        except (OSError, http.client.HTTPException) as error:
            return InsertResponse(
                0, error=self._broken or f"the connection broke before an answer came ({reason_of(error)})"
            )

    def _peek(self) -> bytes:
        """What has come, left where it is; nothing over TLS, which can't look without taking."""
        sock = self._connection.sock
        return b"" if isinstance(sock, ssl.SSLSocket) else sock.recv(LARGEST_ANSWER, socket.MSG_PEEK)

    def _any_answer(self) -> InsertResponse:
        # Not the connection's own getresponse, which would hang up here and now.
        response = http.client.HTTPResponse(self._connection.sock, method="POST")
        response.begin()
        return InsertResponse(response.status, response.read(LARGEST_ANSWER))

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()


PLAIN_ANSWER = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d)(?: [^\r\n]*)?\r\n((?:[\w-]+:[^\r\n]*\r\n)+)\r\n(.*)", re.DOTALL)
CONTENT_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)


def read_plain_answer(came: bytes) -> InsertResponse | None:
    """What these bytes say, if they are a whole answer with its length, as findNeighbour4 sends it; else None.

    The server waits for its next insert meanwhile, and http.client takes ten times as long (RFC 9112, 6.3).
    """
    found = PLAIN_ANSWER.fullmatch(came)
    if not found or b"transfer-encoding" in found[2].lower():
        return None
    lengths = CONTENT_LENGTH.findall(found[2])
    return InsertResponse(int(found[1]), found[3]) if [int(one) for one in lengths] == [len(found[3])] else None


def insert_form(guid: str, sequence: bytes) -> bytes:
    """The body of an insert, urlencoded."""
    # The sequence is nucleotide letters and gaps: nothing in it needs escaping, and 4 MB are not copied to find out.
    return b"guid=" + quote(guid, safe="").encode() + b"&seq=" + sequence


def reason_of(error: BaseException) -> str:
    """Why a connection failed, without the address of an object."""
    text = str(error).rpartition(">: ")[2]
    return text or type(error).__name__
