"""HTTP exchanges over sockets: for the PUT of a small object, urllib3 costs more than all the rest.

urllib3 still opens the connections, so that names, time-outs, TLS and their errors are the same as everywhere.
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
from objectstores.wire import Wire

_CHUNK_SIZE = 65_536
"""Bytes of a body that are sent with the head: two packets cost both sides more than the copy."""


class DirectConnections:
    """A pool of connections to one endpoint without a proxy, for any number of threads; at most `max_idle` are kept."""

    def __init__(
        self, endpoint: str, ca_bundle: str, *, connect_timeout: float, read_timeout: float, max_idle: int
    ) -> None:
        parts = urlsplit(endpoint)
        self._host, self._port, self._authority = parts.hostname or "", parts.port, parts.netloc
        self._secure = parts.scheme == "https"
        self._ca_bundle = ca_bundle
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._max_idle = max_idle
        self._context: ssl.SSLContext | None = None
        self._idle: deque[HTTPConnection] = deque()
        self._closed = False

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One exchange, one attempt. Raises urllib3's HTTPError, or OSError, without a complete response; urllib3's
        NewConnectionError and ConnectTimeoutError mean that nothing was sent."""
        given = {name.lower(): value for name, value in headers.items()}
        defaults = {"host": self._authority, "accept-encoding": "identity", "content-length": str(len(body))}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in (defaults | given).items())]
        text = "\r\n".join([*lines, "", ""])
        if not text.count("\r") == text.count("\n") == len(lines) + 1:
            raise Misconfigured("line break in a header: check the credentials")
        head = text.encode("latin-1")
        connection = self._acquire()
        wire = Wire(connection.sock, idle=self._read_timeout)
        reusable = False
        try:
            try:
                wire.sendall(head + body[:_CHUNK_SIZE])
                wire.sendall(memoryview(body)[_CHUNK_SIZE:])
            except BrokenPipeError:
                # A server that hangs up may have said why.
                return read_answer(wire, method)[0]
            answer, reusable = read_answer(wire, method)
        except ssl.SSLError as error:
            raise SSLError(error) from error
        except TimeoutError as error:
            raise ProtocolError(str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise ProtocolError("Connection aborted.", error) from error
        finally:
            if reusable and not self._closed and len(self._idle) < self._max_idle:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    def close(self) -> None:
        """Closes idle connections; those in use are closed after their exchange."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _acquire(self) -> HTTPConnection:
        """An idle connection that is still open, or a new one."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # pragma: no cover - another thread took it
                break
            if connection.is_connected:
                return connection
            connection.close()
        timeout = self._connect_timeout
        if self._secure:
            if self._context is None:
                context = create_urllib3_context()
                try:
                    context.load_verify_locations(self._ca_bundle)
                except OSError as error:
                    raise Misconfigured(f"{self._ca_bundle} is not a CA bundle: {error}") from error
                self._context = context
            connection = HTTPSConnection(self._host, self._port, timeout=timeout, ssl_context=self._context)
        else:
            connection = HTTPConnection(self._host, self._port, timeout=timeout)
        try:
            connection.connect()
        except ssl.SSLError as error:
            connection.close()
            raise SSLError(error) from error
        except BaseException:
            connection.close()
            raise
        return connection
