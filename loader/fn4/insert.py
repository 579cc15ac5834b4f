"""One insert over a raw connection, which is opened and filled ahead of its turn."""

from __future__ import annotations

import http.client
import select
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import quote

from loader.fn4.responses import READ_SECONDS, InsertResponse
from objectstores.answers import read_answer

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
            answer, _ = read_answer(self._connection.sock, "POST", limit=LARGEST_ANSWER)
            return InsertResponse(answer.status, answer.body)
        except (OSError, http.client.HTTPException) as error:
            return InsertResponse(
                0, error=self._broken or f"the connection broke before an answer came ({reason_of(error)})"
            )

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()


def insert_form(guid: str, sequence: bytes) -> bytes:
    """The body of an insert, urlencoded."""
    # The sequence is nucleotide letters and gaps: nothing in it needs escaping, and 4 MB are not copied to find out.
    return b"guid=" + quote(guid, safe="").encode() + b"&seq=" + sequence


def reason_of(error: BaseException) -> str:
    """Why a connection failed, without the address of an object."""
    text = str(error).rpartition(">: ")[2]
    return text or type(error).__name__
