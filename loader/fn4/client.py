"""One findNeighbour4 server over HTTP: its health, its samples, and one insert at a time (domain.md 2)."""

from __future__ import annotations

import http.client
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote, urlsplit

import ijson
import requests
from urllib3.exceptions import HTTPError

from core.http import bounded_session, read_body
from core.link_local import LinkLocalAddress
from loader.fn4.facts import EngineFacts, StoredSample, engine_facts, short_text, stored_sample, whole_number
from loader.fn4.insert import (
    MAX_ANSWER_BYTES,
    QUESTION_SECONDS,
    BufferedConnection,
    BufferedTLSConnection,
    PendingInsert,
    PreparedInsert,
    insert_form,
    reason_of,
)
from loader.fn4.responses import InsertResponse, ServerMisconfigured, ServerUnavailable
from objectstores.answers import from_json, hide

CONNECT_SECONDS = 5.0
FORM = "application/x-www-form-urlencoded"
MIRROR_SECONDS = LIST_SECONDS = 60.0
IDLE_TEST_SECONDS, ACCEPT_SECONDS = 2.0, 0.2
"""How long a question may take while an idle connection is held, and until a worker has accepted that."""
MAX_ID_BYTES = 1_000_000
"""More is no id, but memory that somebody wants to fill."""
_REFUSED, _MISSING = object(), object()
PROBE_ID = "fnloader-probe"
"""`exists` of an unused id checks the server and its database; `server_time` does not."""

HINTS = {
    401: "Check FN4_AUTH.",
    403: "Check FN4_AUTH.",
    404: "Check the URL and its path.",
    413: "Raise the proxy's client_max_body_size.",
}


@dataclass
class FindNeighbour4:
    """The REST API at one URL."""

    url: str
    auth: str = field(default="", repr=False)
    ca_bundle: str = ""
    _session: requests.Session = field(default_factory=bounded_session, repr=False)
    _prepared: PreparedInsert | None = field(default=None, repr=False)
    _last: PendingInsert | None = field(default=None, repr=False)
    _secrets: tuple[str, ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        # Proxies and .netrc of the environment would apply to questions, but not to inserts.
        self._session.trust_env = False
        self._session.verify = self.ca_bundle or True
        self._session.headers.update(self._headers())
        # A server, or a proxy before it, may repeat what it was sent; not everybody who reads that may know it.
        self._secrets = (self.auth.partition(":")[2], b64encode(self.auth.encode()).decode())
        if not self.url.startswith("https:"):
            # A server closes each connection, a proxy before it may not. With TLS a new one would cost a handshake.
            self._session.headers["Connection"] = "close"

    def probe(self) -> None:
        """Raises ServerUnavailable or ServerMisconfigured unless the server works."""
        self.exists(PROBE_ID)

    def exists(self, guid: str, *, seconds: float = QUESTION_SECONDS) -> bool:
        """Whether the server holds a sample of this id. `seconds` is for connecting, and for each byte; ten times as long for
        all of it."""
        answer = self._get(f"/api/v2/{quote(guid, safe='')}/exists", seconds=seconds)
        if not isinstance(answer, bool):
            raise ServerMisconfigured(
                f"{self.url} is not a findNeighbour4 server: the answer to 'exists' is not true or false."
            )
        return answer

    def annotation(self, guid: str, *, seconds: float = QUESTION_SECONDS) -> StoredSample | None:
        """What the server knows of the sequence that it holds under this id; None if it holds none."""
        try:
            answer = self._get(f"/api/v2/{quote(guid, safe='')}/annotation", seconds=seconds, missing=_MISSING)
        except ServerMisconfigured:
            # An older build, or a proxy that lets only some calls through: it gives no digest.
            return StoredSample()
        return None if answer is _MISSING else stored_sample(answer)

    def snp_ceiling(self, *, seconds: float = QUESTION_SECONDS) -> int | None:
        """Up to which distance it stores links; None if it does not say."""
        answer = self._get("/api/v2/snpceiling", seconds=seconds)
        return whole_number(answer.get("snpceiling")) if isinstance(answer, dict) else None

    def neighbours(self, guid: str, within: int, *, seconds: float = QUESTION_SECONDS) -> list[str]:
        """The ids to which it has stored links, up to a distance; none if it does not know the id."""
        # Older builds have a cutoff of their own, and leave out samples with few called bases.
        path = f"/api/v2/{quote(guid, safe='')}/neighbours_within/{within}/with_quality_cutoff/0/in_format/1"
        answer = self._get(path, seconds=seconds, missing=[])
        if not isinstance(answer, list):
            raise ServerMisconfigured(f"{self.url}: the answer to 'neighbours_within' is not a list.")
        return [link[0] for link in answer if isinstance(link, list) and link and isinstance(link[0], str)]

    def distance(self, one: str, other: str, *, seconds: float = QUESTION_SECONDS) -> int | None:
        """How far two samples are apart, whether linked or not; None if one is unknown, or has too many N."""
        path = f"/api/v2/{quote(one, safe='')}/{quote(other, safe='')}/exact_distance"
        answer = self._get(path, seconds=seconds, missing=None)
        return whole_number(answer.get("dist") if isinstance(answer, dict) else answer)

    def name(self) -> str:
        """What it calls itself."""
        answer = self._get("/api/v2/server_name")
        return short_text(answer.get("server_name")) if isinstance(answer, dict) else ""

    def engine(self) -> EngineFacts:
        """Its reference, limits, memory, and the samples in its engine. Raises ServerUnavailable if the engine is down, or
        the server's database can't be written: each call writes a row there, so it is asked at most once a minute."""
        return engine_facts(self._get("/api/v2/server_memory_usage/1"))

    def mirror(self, letters: int) -> int | None:
        """Sends a form with a sequence of that length, which the server only sends back, and returns how many of its letters
        came back as they were. None if the server has no such call. Raises ServerUnavailable and ServerMisconfigured."""
        sent = "ACGT" * (letters // 4) + "N" * (letters % 4)
        form = insert_form(PROBE_ID, sent.encode())
        answer = self._ask("POST", "/api/v2/mirror", body=form, seconds=MIRROR_SECONDS, missing=_MISSING)
        if answer is _MISSING:
            return None
        echo = answer.get("seq") if isinstance(answer, dict) else None
        if not isinstance(echo, str):
            raise ServerMisconfigured(f"{self.url} is not a findNeighbour4 server: 'mirror' does not send a form back.")
        if echo == sent:
            return letters
        return next((at for at, (old, new) in enumerate(zip(sent, echo, strict=False)) if old != new), len(echo))

    def has_one_worker(self) -> bool:
        """Whether a question finds no worker while an idle connection is held. Called when questions are answered."""
        with suppress(ServerUnavailable, ServerMisconfigured):
            connection = self._connect()
            try:
                sleep(ACCEPT_SECONDS)
                self.exists(PROBE_ID, seconds=IDLE_TEST_SECONDS)
            except ServerUnavailable:
                connection.close()
                # Unless the server has just become unavailable.
                self.probe()
                return True
            finally:
                connection.close()
        return False

    def count(self) -> int:
        """The number of its samples."""
        return sum(1 for _ in self.guids())

    def guids(self) -> Iterator[str]:
        """The ids of all samples, unsorted. The list has no pages and no limit, so it is streamed."""
        return self._stream("guids")

    def invalid_guids(self) -> Iterator[str]:
        """The ids of all samples that have too many N to be compared, streamed."""
        return self._stream("invalid_guids")

    def _stream(self, what: str) -> Iterator[str]:
        with self._open("GET", f"/api/v2/{what}", seconds=LIST_SECONDS) as response:
            response.raw.decode_content = True
            body = _ItemBody(response.raw)
            try:
                # Events, no items: ijson ends the process when it builds an item that is nested deeply.
                events = ijson.basic_parse(body)
                is_list = next(events)[0] == "start_array"
                for event, guid in events:
                    if event == "end_array":
                        return
                    if event != "string" or not is_list:
                        break
                    body.since_item = 0
                    yield guid
                raise ServerMisconfigured(f"{self.url}: the answer to '{what}' is not a list of ids.")
            except (ijson.JSONError, HTTPError, OSError, http.client.HTTPException) as error:
                raise ServerUnavailable(
                    f"{self.url}: connection lost in the list of samples ({type(error).__name__})."
                ) from error

    def begin_insert(self, guid: str, sequence: bytes, heartbeat: Callable[[], None] = lambda: None) -> PendingInsert:
        """Sends one insert, on a connection of its own, and returns without waiting for the answer. `heartbeat` is called
        each second of the insert.

        A connection is never used twice: one that was closed while it was idle would make the end of an insert unclear.
        Raises ServerUnavailable or ServerMisconfigured if certainly nothing was sent.
        """
        prepared, self._prepared = self._prepared, None
        if prepared and not (prepared.guid == guid and prepared.is_fresh()):
            prepared.connection.close()
            prepared = None
        pending = PendingInsert(prepared or self._prepare(guid, sequence), heartbeat, self._secrets)
        self._close_last()
        self._last = pending
        return pending

    def prepare(self, guid: str, sequence: bytes) -> None:
        """Does all of the next insert but sending it, while another one is in flight: connecting, and TLS, take the longest.

        Errors are left to `begin_insert`. The connection may occupy a worker of the server: call `close_idle` if it is not
        used soon.
        """
        if not self._prepared:
            with suppress(ServerUnavailable, ServerMisconfigured):
                self._prepared = self._prepare(guid, sequence)

    def close_idle(self, *, even_if_young: bool = True) -> None:
        """Closes the connection of the next insert, as does each question: the server may have a single worker, which an idle
        connection occupies."""
        if self._prepared and (even_if_young or not self._prepared.is_young):
            self._prepared.connection.close()
            self._prepared = None

    def _prepare(self, guid: str, sequence: bytes) -> PreparedInsert:
        connection = self._connect()
        headers = {"Content-Type": FORM, "Connection": "close"}
        path = urlsplit(self.url).path + "/api/v2/insert"
        connection.request("POST", path, insert_form(guid, sequence), self._headers() | headers)
        return PreparedInsert(guid, connection, monotonic())

    def _connect(self) -> BufferedConnection:
        parts = urlsplit(self.url)
        # Without a port http.client takes the end of an IPv6 address for one.
        host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
        connection: BufferedConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_bundle or None)
            connection = BufferedTLSConnection(host, port, timeout=CONNECT_SECONDS, context=context)
        else:
            connection = BufferedConnection(host, port, timeout=CONNECT_SECONDS)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise ServerMisconfigured(
                f"{self.url}: certificate not trusted ({error.verify_message}). Set FN4_CA_BUNDLE."
            ) from error
        except LinkLocalAddress as error:
            raise ServerMisconfigured(f"{self.url}: {error}.") from error
        except OSError as error:
            raise ServerUnavailable(f"{self.url}: {_innermost(error)}.") from error
        return connection

    def _close_last(self) -> None:
        """Closes the connection of the last insert. This takes as long as sending, so the next one is sent first."""
        if self._last:
            self._last.close()
            self._last = None

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()
        self._close_last()
        self.close_idle()

    def _get(self, path: str, *, seconds: float = QUESTION_SECONDS, missing: object = _REFUSED) -> Any:  # noqa: ANN401 - JSON
        return self._ask("GET", path, seconds=seconds, missing=missing)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        seconds: float = QUESTION_SECONDS,
        missing: object = _REFUSED,
    ) -> Any:  # noqa: ANN401 - JSON
        """The answer to a question, as JSON: None if it is none, `missing` after a 404 unless that is an error."""
        with self._open(method, path, body=body, seconds=seconds, allow_missing=missing is not _REFUSED) as response:
            if response.status_code == 404:
                return missing
            try:
                return from_json(hide(read_body(response), self._secrets))
            except requests.ConnectionError as error:
                raise ServerUnavailable(f"{self.url}: {_innermost(error)}.") from error
            except (requests.RequestException, ValueError):
                return None

    def _open(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        seconds: float = QUESTION_SECONDS,
        allow_missing: bool = False,
    ) -> requests.Response:
        """The response to a question, its body unread; raises unless its status is 200, or 404 if that is allowed."""
        self._close_last()
        self.close_idle()
        try:
            response = self._session.request(
                method,
                self.url + path,
                data=body,
                headers={"Content-Type": FORM} if body else None,
                timeout=(min(CONNECT_SECONDS, seconds), seconds),
                allow_redirects=False,
                stream=True,
            )
        except LinkLocalAddress as error:
            raise ServerMisconfigured(f"{self.url}: {error}.") from error
        except requests.exceptions.SSLError as error:
            raise ServerMisconfigured(f"{self.url}: TLS failed ({_innermost(error)}). Set FN4_CA_BUNDLE.") from error
        except requests.RequestException as error:
            raise ServerUnavailable(f"{self.url}: {_innermost(error)}.") from error
        status = response.status_code
        if status == 200 or (allow_missing and status == 404):
            return response
        words = b""
        with response, suppress(HTTPError, OSError):
            words = response.raw.read(MAX_ANSWER_BYTES, decode_content=True)
        text = InsertResponse(status, hide(words, self._secrets)).text
        if status < 500 and status != 429:
            raise ServerMisconfigured(
                f"{self.url}: {text}. {HINTS.get(status, 'Check the URL, its path and FN4_AUTH.')}"
            )
        raise ServerUnavailable(f"{self.url}: {text}.")

    def _headers(self) -> dict[str, str]:
        return {"Authorization": "Basic " + b64encode(self.auth.encode()).decode()} if self.auth else {}


class _ItemBody:
    """The body of a list, as it arrives, for a parser that holds what belongs to one item."""

    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - urllib3's
        self._raw, self.since_item = raw, 0

    def read(self, size: int) -> bytes:
        """As that of a file. Raises OSError if an item is too long to be an id."""
        part: bytes = self._raw.read(size)
        self.since_item += len(part)
        if self.since_item > MAX_ID_BYTES:
            raise OSError(f"no end of an id within {MAX_ID_BYTES:,} bytes")
        return part


def _innermost(error: BaseException) -> str:
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    return _innermost(reason) if isinstance(reason, BaseException) else reason_of(error)
