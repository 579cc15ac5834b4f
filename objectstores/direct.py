"""Exchanges over bare sockets: what urllib3 does around a small object's PUT costs more than all the rest of it.

urllib3 still opens the connections, so names, time-outs, TLS and what their failures mean are as everywhere.
"""

from __future__ import annotations

import http.client
import ssl
from collections import deque
from collections.abc import Mapping
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ProtocolError, SSLError
from urllib3.util.ssl_ import create_urllib3_context

from objectstores.answers import Answer, read_answer
from objectstores.base import Misconfigured

_PIECE = 65_536
"""Bytes of a body that are sent at a time, the first of them with the head: two packets cost both sides more than the copy."""


class Direct:
    """Kept connections to one endpoint without a proxy, for any number of threads; so many are kept as `kept` says."""

    def __init__(
        self, endpoint: str, ca_bundle: str, *, connect_timeout: float, read_timeout: float, kept: int
    ) -> None:
        parts = urlsplit(endpoint)
        self._host, self._port, self._authority = parts.hostname or "", parts.port, parts.netloc
        self._secure = parts.scheme == "https"
        self._ca_bundle = ca_bundle
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._kept = kept
        self._context: ssl.SSLContext | None = None
        self._idle: deque[HTTPConnection] = deque()
        self._closed = False

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One exchange, tried once. Raises urllib3's HTTPError, or OSError, when there is no whole answer; urllib3's
        NewConnectionError and ConnectTimeoutError say that nothing was sent."""
        head = self._head(method, target, headers, len(body))
        connection = self._take()
        kept = False
        try:
            answer, kept = self._exchange(connection, method, head, body)
        except ssl.SSLError as error:
            raise SSLError(error) from error
        except TimeoutError as error:
            raise ProtocolError(f"no answer within {self._read_timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise ProtocolError("Connection aborted.", error) from error
        finally:
            self._give_back(connection, kept=kept)
        return answer

    def close(self) -> None:
        """Closes the connections that are idle; those in use are closed when they are given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _head(self, method: str, target: str, headers: Mapping[str, str], length: int) -> bytes:
        """The head of a request; the headers given win over our own."""
        own = {"host": self._authority, "accept-encoding": "identity", "content-length": str(length)}
        given = {name.lower(): value for name, value in headers.items()}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in (own | given).items())]
        head = "\r\n".join([*lines, "", ""])
        if not head.count("\r") == head.count("\n") == len(lines) + 1:
            raise Misconfigured("a header would hold a line break: look for one in the credentials")
        return head.encode("latin-1")

    def _exchange(self, connection: HTTPConnection, method: str, head: bytes, body: bytes) -> tuple[Answer, bool]:
        wire = connection.sock
        try:
            wire.sendall(head + body[:_PIECE])
            for start in range(_PIECE, len(body), _PIECE):
                wire.sendall(body[start : start + _PIECE])
        except BrokenPipeError:
            # Who does not want the rest may have said why.
            return read_answer(wire, method)[0], False
        return read_answer(wire, method)

    def _take(self) -> HTTPConnection:
        """A connection that is open as far as we know."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # pragma: no cover - another thread was quicker
                break
            if connection.is_connected:
                return connection
            connection.close()
        return self._open()

    def _open(self) -> HTTPConnection:
        connection = self._new()
        try:
            connection.connect()
        except ssl.SSLError as error:
            connection.close()
            raise SSLError(error) from error
        except BaseException:
            connection.close()
            raise
        connection.sock.settimeout(self._read_timeout)
        return connection

    def _new(self) -> HTTPConnection:
        if not self._secure:
            return HTTPConnection(self._host, self._port, timeout=self._connect_timeout)
        if self._context is None:
            context = create_urllib3_context()
            try:
                context.load_verify_locations(self._ca_bundle)
            except OSError as error:
                raise Misconfigured(f"{self._ca_bundle} is no CA bundle: {error}") from error
            self._context = context
        return HTTPSConnection(self._host, self._port, timeout=self._connect_timeout, ssl_context=self._context)

    def _give_back(self, connection: HTTPConnection, *, kept: bool) -> None:
        if kept and not self._closed and len(self._idle) < self._kept:
            self._idle.append(connection)
        else:
            connection.close()
