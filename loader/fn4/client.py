"""One findNeighbour4 server over HTTP: its health, its samples, and one insert at a time (domain.md 2)."""

from __future__ import annotations

import http.client
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote, urlsplit

import ijson
import requests

from loader.fn4.facts import MAX_TEXT_LENGTH, EngineFacts, StoredSample, engine_facts, stored_sample
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

CONNECT_SECONDS = 5.0
FORM = "application/x-www-form-urlencoded"
MIRROR_SECONDS = 60.0
IDLE_TEST_SECONDS, ACCEPT_SECONDS = 2.0, 0.2
"""How long a question may take while an idle connection is held, and until a worker has accepted that."""
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
    auth: str = ""
    ca_bundle: str = ""
    _session: requests.Session = field(default_factory=requests.Session, repr=False)
    _prepared: PreparedInsert | None = field(default=None, repr=False)
    _last: PendingInsert | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # Proxies and .netrc of the environment would apply to questions, but not to inserts.
        self._session.trust_env = False
        self._session.verify = self.ca_bundle or True
        self._session.headers.update(self._headers())
        if not self.url.startswith("https:"):
            # A server closes each connection, a proxy before it may not. With TLS a new one would cost a handshake.
            self._session.headers["Connection"] = "close"

    def probe(self) -> None:
        """Raises ServerUnavailable or ServerMisconfigured unless the server works."""
        self.exists(PROBE_ID)

    def exists(self, guid: str, *, seconds: float = QUESTION_SECONDS) -> bool:
        """Whether the server holds a sample of this id. `seconds` limits connecting and each read."""
        response = self._get(f"/api/v2/{quote(guid, safe='')}/exists", seconds=seconds)
        answer = _json(response)
        if not isinstance(answer, bool):
            raise ServerMisconfigured(
                f"{self.url} is not a findNeighbour4 server: the answer to 'exists' is not true or false."
            )
        return answer

    def annotation(self, guid: str, *, seconds: float = QUESTION_SECONDS) -> StoredSample | None:
        """What the server knows of the sequence that it holds under this id; None if it holds none."""
        try:
            response = self._get(f"/api/v2/{quote(guid, safe='')}/annotation", seconds=seconds, missing_is_fine=True)
        except ServerMisconfigured:
            # An older build, or a proxy that lets only some calls through: it gives no digest.
            return StoredSample()
        return stored_sample(_json(response)) if response.status_code == 200 else None

    def snp_ceiling(self, *, seconds: float = QUESTION_SECONDS) -> int | None:
        """Up to which distance it stores links; None if it does not say."""
        answer = _json(self._get("/api/v2/snpceiling", seconds=seconds))
        ceiling = answer.get("snpceiling") if isinstance(answer, dict) else None
        return ceiling if isinstance(ceiling, int) else None

    def neighbours(self, guid: str, within: int, *, seconds: float = QUESTION_SECONDS) -> list[str]:
        """The ids to which it has stored links, up to a distance; none if it does not know the id."""
        # Older builds have a cutoff of their own, and leave out samples with few called bases.
        path = f"/api/v2/{quote(guid, safe='')}/neighbours_within/{within}/with_quality_cutoff/0/in_format/1"
        response = self._get(path, seconds=seconds, missing_is_fine=True)
        answer = _json(response) if response.status_code == 200 else []
        if not isinstance(answer, list):
            raise ServerMisconfigured(f"{self.url}: the answer to 'neighbours_within' is not a list.")
        return [str(link[0]) for link in answer if isinstance(link, list) and link]

    def distance(self, one: str, other: str, *, seconds: float = QUESTION_SECONDS) -> int | None:
        """How far two samples are apart, whether linked or not; None if one is unknown, or has too many N."""
        path = f"/api/v2/{quote(one, safe='')}/{quote(other, safe='')}/exact_distance"
        response = self._get(path, seconds=seconds, missing_is_fine=True)
        answer = _json(response) if response.status_code == 200 else None
        apart = answer.get("dist") if isinstance(answer, dict) else answer
        return int(apart) if isinstance(apart, int | float) and not isinstance(apart, bool) else None

    def name(self) -> str:
        """What it calls itself."""
        answer = _json(self._get("/api/v2/server_name"))
        return str(answer.get("server_name") or "")[:MAX_TEXT_LENGTH] if isinstance(answer, dict) else ""

    def engine(self) -> EngineFacts:
        """Its reference, limits, memory, and the samples in its engine. Raises ServerUnavailable if the engine is down, or
        the server's database can't be written: each call writes a row there, so it is asked at most once a minute."""
        return engine_facts(_json(self._get("/api/v2/server_memory_usage/1")))

    def mirror(self, letters: int) -> int | None:
        """Sends a form with a sequence of that length, which the server only sends back, and returns how many of its letters
        came back as they were. None if the server has no such call. Raises ServerUnavailable and ServerMisconfigured."""
        sent = "ACGT" * (letters // 4) + "N" * (letters % 4)
        response = self._ask(
            "POST",
            "/api/v2/mirror",
            body=insert_form(PROBE_ID, sent.encode()),
            seconds=MIRROR_SECONDS,
            missing_is_fine=True,
        )
        if response.status_code == 404:
            return None
        answer = _json(response)
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
        with self._get(f"/api/v2/{what}", stream=True) as response:
            response.raw.decode_content = True
            try:
                yield from ijson.items(response.raw, "item")
            except (ijson.JSONError, requests.RequestException, OSError, http.client.HTTPException) as error:
                raise ServerUnavailable(
                    f"{self.url}: connection lost in the list of samples ({type(error).__name__})."
                ) from error

    def begin_insert(self, guid: str, sequence: bytes) -> PendingInsert:
        """Sends one insert, on a connection of its own, and returns without waiting for the answer.

        A connection is never used twice: one that was closed while it was idle would make the end of an insert unclear.
        Raises ServerUnavailable or ServerMisconfigured if certainly nothing was sent.
        """
        prepared, self._prepared = self._prepared, None
        if prepared and not (prepared.guid == guid and prepared.is_fresh()):
            prepared.connection.close()
            prepared = None
        pending = PendingInsert(prepared or self._prepare(guid, sequence))
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
        host, port = parts.hostname or "", parts.port
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

    def _get(
        self, path: str, *, stream: bool = False, seconds: float = QUESTION_SECONDS, missing_is_fine: bool = False
    ) -> requests.Response:
        return self._ask("GET", path, stream=stream, seconds=seconds, missing_is_fine=missing_is_fine)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        stream: bool = False,
        seconds: float = QUESTION_SECONDS,
        missing_is_fine: bool = False,
    ) -> requests.Response:
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
                stream=stream,
            )
        except requests.exceptions.SSLError as error:
            raise ServerMisconfigured(f"{self.url}: TLS failed ({_innermost(error)}). Set FN4_CA_BUNDLE.") from error
        except requests.RequestException as error:
            raise ServerUnavailable(f"{self.url}: {_innermost(error)}.") from error
        if response.status_code == 200 or (missing_is_fine and response.status_code == 404):
            return response
        text = InsertResponse(response.status_code, b"" if stream else response.content[:MAX_ANSWER_BYTES]).text
        response.close()
        if response.status_code < 500 and response.status_code != 429:
            raise ServerMisconfigured(
                f"{self.url}: {text}. {HINTS.get(response.status_code, 'Check the URL, its path and FN4_AUTH.')}"
            )
        raise ServerUnavailable(f"{self.url}: {text}.")

    def _headers(self) -> dict[str, str]:
        return {"Authorization": "Basic " + b64encode(self.auth.encode()).decode()} if self.auth else {}


def _json(response: requests.Response) -> Any:  # noqa: ANN401 - JSON
    try:
        return response.json()
    except ValueError:
        return None


def _innermost(error: BaseException) -> str:
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    return _innermost(reason) if isinstance(reason, BaseException) else reason_of(error)
