"""What stores with an HTTP API share: a pool of connections, time-outs, and errors."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

import certifi
import urllib3
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError, SSLError

from objectstores.answers import NO_LENGTH, Answer, hide
from objectstores.base import Changed, Denied, Misconfigured, NotFound, StoreError, TooLarge, Unavailable
from objectstores.direct import DirectConnections
from objectstores.wire import IDLE_SECONDS, MAX_BODY, POOLS

CONNECT_TIMEOUT = 5.0
_MAX_IDLE = 64
_CREDENTIALS = re.compile(r"""(?:signature="?|Credential=|keyId="ST\$)([^"/,\s]+)""", re.IGNORECASE)
"""In an Authorization header of S3 or OCI, what only we and the store should know."""
_ERRORS_BY_STATUS: dict[int, type[StoreError]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    408: Unavailable,
    412: Changed,
    429: Unavailable,
}


class Connections:
    """A pool of connections to one endpoint, for any number of threads; it keeps 64 idle ones.

    `endpoint` is `http[s]://host[:port]`. HTTPS_PROXY and NO_PROXY of the environment apply to https.
    """

    def __init__(self, endpoint: str, *, ca_bundle: str | None = None, read_timeout: float = IDLE_SECONDS) -> None:
        self.endpoint = endpoint
        options = {
            "maxsize": _MAX_IDLE,
            "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT, read=read_timeout),
            "retries": False,
        }
        self._manager = _manager(endpoint, ca_bundle or certifi.where(), options)
        self._manager.pool_classes_by_scheme = POOLS
        pool = self._manager.connection_from_url(endpoint)
        # The pool itself: the manager would normalise `..` and `//`, which are legal in names.
        self._pool: HTTPConnectionPool = pool
        self._direct: DirectConnections | None = None
        if isinstance(self._manager, urllib3.ProxyManager):
            return
        self._direct = DirectConnections(
            endpoint,
            ca_bundle or certifi.where(),
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=read_timeout,
            max_idle=_MAX_IDLE,
        )

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None, *, limit: int = 0
    ) -> Answer:
        """One exchange, one attempt; a redirect is a response. `target` is path and query, as signed.

        An error's body has no credentials of ours, should its sender repeat them.
        Raises Unavailable without a complete response, TooLarge if its body is (or is announced to be) longer than
        `limit` bytes, Misconfigured if the server's certificate is not trusted.
        """
        try:
            if method == "PUT" and self._direct:
                answer = self._direct.send(method, target, headers, body or b"")
            else:
                answer = self._by_urllib3(method, target, headers, body, limit)
        except SSLError as error:
            raise Misconfigured(f"{self.endpoint}: certificate not trusted ({error}); check the CA bundle") from error
        except (HTTPError, OSError) as error:
            # urllib3 puts the failed object before the text, and a text of its own before that of a time-out.
            cause = error.__cause__ if isinstance(error.__cause__, TimeoutError) else error
            text = str(cause).rpartition(">: ")[2] or type(error).__name__
            raise Unavailable(f"{self.endpoint}: {text}") from error
        if answer.status < 300:
            return answer
        sent = {name.lower(): value for name, value in headers.items()}
        credentials = [*_CREDENTIALS.findall(sent.get("authorization", "")), sent.get("x-amz-security-token", "")]
        return answer._replace(body=hide(answer.body, credentials))

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
        try:
            body = _read_body(response, limit if response.status < 300 else 0)
        except BaseException:
            # The rest of the body must not be read as the next response.
            response.close()
            raise
        response.release_conn()
        return Answer(response.status, response.headers, body)

    def close(self) -> None:
        """Closes idle connections; those in use are closed after their exchange."""
        self._manager.clear()
        if self._direct:
            self._direct.close()


def _read_body(response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """The body; urllib3 raises for one that is shorter than announced."""
    announced = response.headers.get("content-length")
    if announced is None and response.headers.get("transfer-encoding") is None and response.status == 200:
        raise ProtocolError(NO_LENGTH)
    if limit and announced and announced.isdecimal() and int(announced) > limit:
        raise TooLarge(f"{announced} bytes exceed the limit of {limit}")
    content = response.read((limit or MAX_BODY) + 1)
    if len(content) > (limit or MAX_BODY):
        raise TooLarge(f"it exceeds the limit of {limit or MAX_BODY} bytes")
    if response.length_remaining:
        raise ProtocolError(f"the response ended {response.length_remaining} bytes early")
    return content


def _manager(endpoint: str, ca_bundle: str, options: dict[str, object]) -> urllib3.PoolManager:
    parts = urlsplit(endpoint)
    if parts.scheme != "https":
        return urllib3.PoolManager(**options)  # type: ignore[arg-type]
    proxy = urllib.request.getproxies_environment().get("https")
    if proxy and not urllib.request.proxy_bypass(parts.netloc):
        return urllib3.ProxyManager(proxy, ca_certs=ca_bundle, **options)  # type: ignore[arg-type]
    return urllib3.PoolManager(ca_certs=ca_bundle, **options)  # type: ignore[arg-type]


def error_for_status(status: int) -> type[StoreError]:
    """The error for a status of a store."""
    if status in _ERRORS_BY_STATUS:
        return _ERRORS_BY_STATUS[status]
    if status >= 500:
        return Unavailable
    return Misconfigured if 300 <= status < 400 else StoreError


def proxy_error(answer: Answer, where: str) -> StoreError:
    """The error for a response that is not in the store's format: of a proxy, a gateway, a wrong endpoint.

    A 404 of that kind says nothing about the object, so it is never NotFound.
    """
    kind: type[StoreError] = Unavailable
    if answer.status in (401, 403, 407):
        kind = Denied
    elif 300 <= answer.status < 400:
        kind = Misconfigured
    return kind(f"{where}: HTTP {answer.status}, not from the store; check the endpoint and proxies")


def read_timeout(settings: Mapping[str, str]) -> float:
    """Seconds without a byte after which a request fails: STORE_READ_TIMEOUT, or 60."""
    text = settings.get("STORE_READ_TIMEOUT") or str(IDLE_SECONDS)
    try:
        return float(text)
    except ValueError as error:
        raise Misconfigured(f"Invalid STORE_READ_TIMEOUT {text!r}: expected a number of seconds") from error
