"""What the stores that speak HTTP have in common: kept connections, time-outs, and what a failed exchange means."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

import certifi
import urllib3
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError, SSLError

from objectstores.answers import NO_LENGTH, Answer
from objectstores.base import Denied, Misconfigured, StoreError, TooLarge, Unavailable
from objectstores.direct import Direct

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0
_CONNECTIONS = 16


class Connections:
    """Up to 16 kept connections to one endpoint, for any number of threads; more are opened and not kept.

    `endpoint` is `http[s]://host[:port]`. HTTPS_PROXY and NO_PROXY of the environment are heeded for https.
    """

    def __init__(self, endpoint: str, *, ca_bundle: str | None = None, read_timeout: float = READ_TIMEOUT) -> None:
        self.endpoint = endpoint
        options = {
            "maxsize": _CONNECTIONS,
            "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT, read=read_timeout),
            "retries": False,
        }
        self._manager = _manager(endpoint, ca_bundle or certifi.where(), options)
        pool = self._manager.connection_from_url(endpoint)
        # Straight to the pool: the manager would tidy `..` and `//` out of names that are legal.
        self._pool: HTTPConnectionPool = pool
        self._direct: Direct | None = None
        if isinstance(self._manager, urllib3.ProxyManager):
            return
        self._direct = Direct(
            endpoint,
            ca_bundle or certifi.where(),
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=read_timeout,
            kept=_CONNECTIONS,
        )

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None, *, limit: int = 0
    ) -> Answer:
        """One exchange, tried once; redirects are answers. `target` is path and query, as signed.

        Raises Unavailable when there is no whole answer, TooLarge when its body is (or announces to be) longer than
        `limit` bytes, Misconfigured when the server's certificate is not trusted.
        """
        try:
            if method == "PUT" and self._direct:
                return self._direct.send(method, target, headers, body or b"")
            return self._by_urllib3(method, target, headers, body, limit)
        except SSLError as error:
            raise Misconfigured(f"{self.endpoint}: no trusted connection ({error}); is a CA bundle missing?") from error
        except (HTTPError, OSError) as error:
            raise Unavailable(f"{self.endpoint}: {_reason(error)}") from error

    def _by_urllib3(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, limit: int
    ) -> Answer:
        response = self._pool.urlopen(
            method,
            target,
            body=body,
            headers=headers,
            redirect=False,
            preload_content=False,
            decode_content=False,
            assert_same_host=False,
        )
        return Answer(response.status, response.headers, _content(response, limit if response.status < 300 else 0))

    def close(self) -> None:
        """Closes the connections that are idle; those in use are closed when they are given back."""
        self._manager.clear()
        if self._direct:
            self._direct.close()


def _content(response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    try:
        content = _read(response, limit)
    except BaseException:
        # What is left of the body must not be taken for the next answer.
        response.close()
        raise
    response.release_conn()
    return content


def _read(response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """The body; urllib3 itself raises for one that is shorter than announced."""
    announced = response.headers.get("content-length")
    if announced is None and response.headers.get("transfer-encoding") is None and response.status == 200:
        raise ProtocolError(NO_LENGTH)
    if limit and announced and announced.isdecimal() and int(announced) > limit:
        raise TooLarge(f"{announced} bytes, and {limit} are allowed")
    content = response.read(limit + 1) if limit else response.read()
    if limit and len(content) > limit:
        raise TooLarge(f"more than the {limit} bytes that are allowed")
    return content


def _manager(endpoint: str, ca_bundle: str, options: dict[str, object]) -> urllib3.PoolManager:
    parts = urlsplit(endpoint)
    if parts.scheme != "https":
        return urllib3.PoolManager(**options)  # type: ignore[arg-type]
    proxy = urllib.request.getproxies_environment().get("https")
    if proxy and not urllib.request.proxy_bypass(parts.netloc):
        return urllib3.ProxyManager(proxy, ca_certs=ca_bundle, **options)  # type: ignore[arg-type]
    return urllib3.PoolManager(ca_certs=ca_bundle, **options)  # type: ignore[arg-type]


def _reason(error: Exception) -> str:
    """The error in words; urllib3 puts the object that failed before them, which tells a reader nothing."""
    text = str(error)
    return text.rpartition(">: ")[2] if text.startswith("<") else text or type(error).__name__


def foreign(answer: Answer, what: str) -> StoreError:
    """The error for a refusal that is not worded as the store words its own: a proxy, a gateway, a wrong endpoint.

    A 404 of that kind says nothing of the object, so it is never NotFound.
    """
    kind: type[StoreError] = Unavailable
    if answer.status in (401, 403, 407):
        kind = Denied
    elif 300 <= answer.status < 400:
        kind = Misconfigured
    return kind(f"{what}: {answer.status}, not in the store's words; check the endpoint and what stands before it")


def read_timeout(settings: Mapping[str, str]) -> float:
    """Seconds without a byte after which a store is given up: STORE_READ_TIMEOUT, or 60."""
    text = settings.get("STORE_READ_TIMEOUT") or str(READ_TIMEOUT)
    try:
        return float(text)
    except ValueError as error:
        raise Misconfigured(f"STORE_READ_TIMEOUT must be a number of seconds, not {text!r}") from error
