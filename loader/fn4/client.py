"""One findNeighbour4 server over HTTP: whether it is well, what it holds, and one insert at a time (domain.md 2)."""

from __future__ import annotations

import http.client
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import quote, urlsplit

import ijson
import requests

from loader.fn4.insert import (
    LARGEST_ANSWER,
    QUESTION_SECONDS,
    BufferedConnection,
    BufferedTLSConnection,
    PendingInsert,
    PreparedInsert,
    insert_form,
    reason_of,
)
from loader.fn4.responses import InsertResponse, ServerMisconfigured, ServerUnavailable

CONNECT_SECONDS = 5.0
PROBE_ID = "fnloader-probe"
"""`exists` of an id that nobody uses tells whether the server and its database are well; `server_time` does not."""


@dataclass
class FindNeighbour4:
    """The REST API at one URL."""

    url: str
    auth: str = ""
    ca_bundle: str = ""
    _session: requests.Session = field(default_factory=requests.Session, repr=False)
    _ahead: PreparedInsert | None = field(default=None, repr=False)
    _last: PendingInsert | None = field(default=None, repr=False)

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
                raise ServerUnavailable(
                    f"{self.url} broke off its list of samples ({type(error).__name__})."
                ) from error

    def begin_insert(self, guid: str, sequence: bytes) -> PendingInsert:
        """Sends one insert, on a connection of its own, and returns without waiting for the answer.

        A connection is never used twice: one that was closed while it was idle would make an unclear end of an insert.
        Raises ServerAway or ServerMisconfigured when certainly nothing was sent.
        """
        sent = PendingInsert(self._take_ahead(guid) or self._prepare(guid, sequence))
        self._hang_up()
        self._last = sent
        return sent

    def prepare(self, guid: str, sequence: bytes) -> None:
        """Does all of the next insert but sending it while another one is in flight: connecting, and TLS, take the longest.

        Nothing is sent. No error: the next insert will meet it.
        """
        if not self._ahead:
            with suppress(ServerUnavailable, ServerMisconfigured):
                self._ahead = self._prepare(guid, sequence)

    def _prepare(self, guid: str, sequence: bytes) -> PreparedInsert:
        connection = self._connect()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Connection": "close"}
        path = urlsplit(self.url).path + "/api/v2/insert"
        connection.request("POST", path, insert_form(guid, sequence), self._headers() | headers)
        return PreparedInsert(guid, connection, monotonic())

    def _take_ahead(self, guid: str) -> PreparedInsert | None:
        """What was prepared for this sample, if it is fresh and the other end has neither spoken nor hung up."""
        ahead, self._ahead = self._ahead, None
        if not ahead:
            return None
        if ahead.guid == guid and ahead.is_fresh():
            return ahead
        ahead.connection.close()
        return None

    def _connect(self) -> BufferedConnection:
        parts = urlsplit(self.url)
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise ServerMisconfigured(
                f"{self.url}: its certificate is not trusted ({error.verify_message}); see FN4_CA_BUNDLE."
            ) from error
        except OSError as error:
            raise ServerUnavailable(f"{self.url} does not accept connections ({error}).") from error
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
            raise ServerUnavailable(f"{self.url} does not answer ({_innermost(error)}).") from error
        if response.status_code == 200:
            return response
        said = InsertResponse(response.status_code, b"" if stream else response.content[:LARGEST_ANSWER]).text
        response.close()
        if response.status_code < 500 and response.status_code != 429:
            raise ServerMisconfigured(
                f"{self.url} refuses the question ({said}); check the URL, its path and FN4_AUTH."
            )
        raise ServerUnavailable(f"{self.url} is not well ({said}).")

    def _connection(self, scheme: str, host: str, port: int | None) -> BufferedConnection:
        if scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_bundle or None)
            return BufferedTLSConnection(host, port, timeout=CONNECT_SECONDS, context=context)
        return BufferedConnection(host, port, timeout=CONNECT_SECONDS)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": "Basic " + b64encode(self.auth.encode()).decode()} if self.auth else {}


def _innermost(error: BaseException) -> str:
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    return _innermost(reason) if isinstance(reason, BaseException) else reason_of(error)
