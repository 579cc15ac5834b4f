"""One insert over a raw connection, which is opened and filled ahead of time."""

from __future__ import annotations

import http.client
import re
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import quote

from core.link_local import checked_connection
from loader.fn4.responses import READ_SECONDS, InsertResponse, one_line
from objectstores.answers import hide, read_answer
from objectstores.wire import Wire, while_waiting

QUESTION_SECONDS = 10.0
ANSWER_SECONDS = 30.0
"""For an answer of some hundred bytes, from its first byte on."""
FRESH_SECONDS = 2.0
"""An older connection is closed unused: an idle one occupies a sync worker of the server, perhaps its only one."""
LOCK_WAIT = 165.0
"""Seconds: the server's lock manager frees a lock within 150, so one that is held for longer is stuck."""
MAX_ANSWER_BYTES = 64 * 1024


class BufferedConnection(http.client.HTTPConnection):
    """A connection that holds a request back, and does not lead to a link-local address (core.link_local)."""

    unsent = b""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - http.client's
        super().__init__(*arguments, **options)
        self._create_connection = checked_connection

    def send(self, data: Any) -> None:  # noqa: ANN401 - http.client's; bytes here
        """Buffers the data."""
        self.unsent += data


class BufferedTLSConnection(BufferedConnection, http.client.HTTPSConnection):
    """The same over TLS."""


@dataclass(frozen=True, slots=True)
class PreparedInsert:
    """An insert of which nothing was sent yet, in the buffer of its connection."""

    guid: str
    connection: BufferedConnection
    made_at: float

    @property
    def is_young(self) -> bool:
        """Whether it may still be held."""
        return monotonic() - self.made_at < FRESH_SECONDS

    def is_fresh(self) -> bool:
        """Whether the other end still listens, as far as can be known: it has neither sent anything nor hung up."""
        return self.is_young and not select.select([self.connection.sock], [], [], 0)[0]


class PendingInsert:
    """One insert in flight. `wait` returns its answer, however it ends, without `secrets`; `heartbeat` is called each second."""

    def __init__(self, prepared: PreparedInsert, heartbeat: Callable[[], None], secrets: Sequence[str] = ()) -> None:
        connection = self._connection = prepared.connection
        self._heartbeat, self._secrets = heartbeat, secrets
        self._until = monotonic() + READ_SECONDS
        self._broken = ""
        try:
            with while_waiting(heartbeat):
                Wire(connection.sock, idle=READ_SECONDS, total=READ_SECONDS).sendall(connection.unsent)
        except OSError as error:
            # A proxy may answer before it has read everything (413) and hang up: its answer can still be read.
            self._broken = f"connection lost while sending ({error})"

    def wait(self) -> InsertResponse:
        """The server's answer, or one of status 0."""
        try:
            while not select.select([self._connection.sock], [], [], 1.0)[0]:
                self._heartbeat()
                if monotonic() > self._until:
                    return InsertResponse(0, error=f"no answer within {READ_SECONDS:g} s")
            wire = Wire(self._connection.sock, idle=QUESTION_SECONDS, total=ANSWER_SECONDS)
            with while_waiting(self._heartbeat):
                answer, _ = read_answer(wire, "POST", limit=MAX_ANSWER_BYTES)
            return InsertResponse(answer.status, hide(answer.body, self._secrets))
        except (OSError, http.client.HTTPException) as error:
            return InsertResponse(
                0, error=self._broken or f"connection lost before an answer came ({reason_of(error)})"
            )

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def insert_form(guid: str, sequence: bytes) -> bytes:
    """The body of an insert, urlencoded."""
    # A sequence is nucleotide letters and gaps: nothing in it needs escaping, and checking would copy 4 MB.
    return b"guid=" + quote(guid, safe="").encode() + b"&seq=" + sequence


def reason_of(error: BaseException) -> str:
    """Why a connection failed, without addresses and numbers."""
    return one_line(re.sub(r"(?s)^.*(>: |\[Errno -?\d+\] )", "", str(error))) or type(error).__name__
