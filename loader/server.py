"""One findNeighbour4 server over HTTP: whether it is well, what it holds, and one insert at a time (domain.md 2)."""

from __future__ import annotations

import http.client
import re
import select
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit

import ijson
import requests

from loader.answers import Answer

CONNECT_SECONDS = 5.0
READ_SECONDS = 180.0
QUESTION_SECONDS = 10.0
FRESH_SECONDS = 5.0
"""A connection that was opened ahead is not used when it is older: proxies and workers hang up on idle ones."""
PROBE_ID = "fnloader-probe"
"""`exists` of an id that nobody uses tells whether the server and its database are well; `server_time` does not."""
LARGEST_ANSWER = 64 * 1024


class ServerAway(Exception):
    """The server, or its database, does not answer as it should: try again later."""


class ServerMisconfigured(Exception):
    """Something that is no findNeighbour4 server answers: a proxy, a login page, another path. A person must look."""


@dataclass
class FindNeighbour4:
    """The REST API at one URL."""

    url: str
    auth: str = ""
    ca_bundle: str = ""
    _session: requests.Session = field(default_factory=requests.Session, repr=False)
    _ahead: Prepared | None = field(default=None, repr=False)
    _last: Insert | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # What the environment says of proxies and .netrc would hold for questions, but not for inserts.
        self._session.trust_env = False
        self._session.verify = self.ca_bundle or True
        self._session.headers.update(self._headers())

    def probe(self) -> None:
        """Raises ServerAway or ServerMisconfigured unless the server can do its work."""
        self.exists(PROBE_ID)

    def exists(self, guid: str, *, seconds: float = QUESTION_SECONDS) -> bool:
        """Whether the server holds a sample of this id. Each connection and read takes so many seconds at the most."""
        response = self._get(f"/api/v2/{quote(guid, safe='')}/exists", seconds=seconds)
        try:
            found = response.json()
        except ValueError:
            found = None
        if not isinstance(found, bool):
            raise ServerMisconfigured(
                f"{self.url} answers, but not as findNeighbour4 does: 'exists' is no true or false."
            )
        return found

    def count(self) -> int:
        """How many samples it holds."""
        return sum(1 for _ in self.guids())

    def guids(self) -> Iterator[str]:
        """The ids of all samples, in no order. The list has no end and no pages: it is streamed, never held."""
        with self._get("/api/v2/guids", stream=True) as response:
            response.raw.decode_content = True
            try:
                yield from ijson.items(response.raw, "item")
            except (ijson.JSONError, requests.RequestException, OSError, http.client.HTTPException) as error:
                raise ServerAway(f"{self.url} broke off its list of samples ({type(error).__name__}).") from error

    def begin_insert(self, guid: str, sequence: bytes) -> Insert:
        """Sends one insert, on a connection of its own, and returns without waiting for the answer.

        A connection is never used twice: one that was closed while it was idle would make an unclear end of an insert.
        Raises ServerAway or ServerMisconfigured when certainly nothing was sent.
        """
        sent = Insert(self._take_ahead(guid) or self._prepare(guid, sequence))
        self._hang_up()
        self._last = sent
        return sent

    def prepare(self, guid: str, sequence: bytes) -> None:
        """Does all of the next insert but sending it while another one is in flight: connecting, and TLS, take the longest.

        Nothing is sent. No error: the next insert will meet it.
        """
        if not self._ahead:
            with suppress(ServerAway, ServerMisconfigured):
                self._ahead = self._prepare(guid, sequence)

    def _prepare(self, guid: str, sequence: bytes) -> Prepared:
        connection = self._connect()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Connection": "close"}
        path = urlsplit(self.url).path + "/api/v2/insert"
        connection.request("POST", path, _form(guid, sequence), self._headers() | headers)
        return Prepared(guid, connection, monotonic())

    def _take_ahead(self, guid: str) -> Prepared | None:
        """What was prepared for this sample, if it is fresh and the other end has neither spoken nor hung up."""
        ahead, self._ahead = self._ahead, None
        if not ahead:
            return None
        if ahead.guid == guid and ahead.is_fresh():
            return ahead
        ahead.connection.close()
        return None

    def _connect(self) -> Held:
        parts = urlsplit(self.url)
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise ServerMisconfigured(
                f"{self.url}: its certificate is not trusted ({error.verify_message}); see FN4_CA_BUNDLE."
            ) from error
        except OSError as error:
            raise ServerAway(f"{self.url} does not accept connections ({error}).") from error
        return connection

    def _hang_up(self) -> None:
        """Gives back the connection of the last insert: not before the next one is sent, since closing takes as long as that."""
        if self._last:
            self._last.close()
            self._last = None

    def close(self) -> None:
        """Gives back the connections."""
        self._session.close()
        self._hang_up()
        if self._ahead:
            self._ahead.connection.close()
            self._ahead = None

    def _get(self, path: str, *, stream: bool = False, seconds: float = QUESTION_SECONDS) -> requests.Response:
        self._hang_up()
        try:
            response = self._session.get(
                self.url + path, timeout=(min(CONNECT_SECONDS, seconds), seconds), allow_redirects=False, stream=stream
            )
        except requests.exceptions.SSLError as error:
            raise ServerMisconfigured(f"{self.url}: TLS failed ({_innermost(error)}); see FN4_CA_BUNDLE.") from error
        except requests.RequestException as error:
            raise ServerAway(f"{self.url} does not answer ({_innermost(error)}).") from error
        if response.status_code == 200:
            return response
        said = Answer(response.status_code, b"" if stream else response.content[:LARGEST_ANSWER]).text
        response.close()
        if response.status_code < 500 and response.status_code != 429:
            raise ServerMisconfigured(
                f"{self.url} refuses the question ({said}); check the URL, its path and FN4_AUTH."
            )
        raise ServerAway(f"{self.url} is not well ({said}).")

    def _connection(self, scheme: str, host: str, port: int | None) -> Held:
        if scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_bundle or None)
            return _HeldSecure(host, port, timeout=CONNECT_SECONDS, context=context)
        return Held(host, port, timeout=CONNECT_SECONDS)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": "Basic " + b64encode(self.auth.encode()).decode()} if self.auth else {}


class Held(http.client.HTTPConnection):
    """A connection that holds a request back until it is told to go: then all of it leaves at once."""

    _held = b""

    def send(self, data: Any) -> None:  # noqa: ANN401 - http.client's; bytes here
        """Keeps what is to be sent."""
        self._held += data

    def go(self) -> None:
        """Sends it."""
        self.sock.sendall(self._held)


class _HeldSecure(Held, http.client.HTTPSConnection):
    """The same over TLS."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An insert of which nothing was sent yet: a connection that holds it."""

    guid: str
    connection: Held
    made: float

    def is_fresh(self) -> bool:
        """Whether the other end can be expected to listen: it has neither spoken nor hung up."""
        return monotonic() - self.made < FRESH_SECONDS and not select.select([self.connection.sock], [], [], 0)[0]


class Insert:
    """One insert on its way. `answer` waits for its end, however it ends."""

    def __init__(self, prepared: Prepared) -> None:
        connection = self._connection = prepared.connection
        self._until = monotonic() + READ_SECONDS
        self._broken = ""
        connection.sock.settimeout(READ_SECONDS)
        try:
            connection.go()
        except OSError as error:
            # A proxy may answer before it has read everything (413) and hang up: its answer is still there to be read.
            self._broken = f"the connection broke while sending ({error})"

    def answer(self, beat: Callable[[], None]) -> Answer:
        """The server's answer, or an Answer of status 0. Calls `beat` a few times a minute while it waits."""
        try:
            while not select.select([self._connection.sock], [], [], 5.0)[0]:
                beat()
                if monotonic() > self._until:
                    return Answer(0, error=f"no answer within {READ_SECONDS:g} s")
            self._connection.sock.settimeout(QUESTION_SECONDS)
            return plain_answer(self._peek()) or self._any_answer()
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, error=self._broken or f"the connection broke before an answer came ({_name(error)})")

    def _peek(self) -> bytes:
        """What has come, left where it is; nothing over TLS, which can't look without taking."""
        sock = self._connection.sock
        return b"" if isinstance(sock, ssl.SSLSocket) else sock.recv(LARGEST_ANSWER, socket.MSG_PEEK)

    def _any_answer(self) -> Answer:
        # Not the connection's own getresponse, which would hang up here and now.
        response = http.client.HTTPResponse(self._connection.sock, method="POST")
        response.begin()
        return Answer(response.status, response.read(LARGEST_ANSWER))

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()


PLAIN = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d)(?: [^\r\n]*)?\r\n((?:[\w-]+:[^\r\n]*\r\n)+)\r\n(.*)", re.DOTALL)
LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)


def plain_answer(came: bytes) -> Answer | None:
    """What these bytes say, if they are a whole answer with its length, as findNeighbour4 sends it; else None.

    The server waits for its next insert meanwhile, and http.client takes ten times as long (RFC 9112, 6.3).
    """
    found = PLAIN.fullmatch(came)
    if not found or b"transfer-encoding" in found[2].lower():
        return None
    lengths = LENGTH.findall(found[2])
    return Answer(int(found[1]), found[3]) if [int(one) for one in lengths] == [len(found[3])] else None


def _form(guid: str, sequence: bytes) -> bytes:
    # The sequence is nucleotide letters and gaps: nothing in it needs escaping, and 4 MB are not copied to find out.
    return b"guid=" + quote(guid, safe="").encode() + b"&seq=" + sequence


def _innermost(error: BaseException) -> str:
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    return _innermost(reason) if isinstance(reason, BaseException) else _name(error)


def _name(error: BaseException) -> str:
    text = str(error).rpartition(">: ")[2]
    return text or type(error).__name__
