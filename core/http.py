"""Sessions of `requests` whose exchanges end: within a time as a whole, and with a bounded answer (objectstores.wire).

They never connect to a link-local address (core.link_local).
"""

from __future__ import annotations

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import PoolManager, ProxyManager
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

from core.link_local import checked_connection
from objectstores.wire import MAX_BODY, WireConnection, WirePool, WireTLSConnection, WireTLSPool


class _Checked(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        address = (self._dns_host, self.port)
        try:
            return checked_connection(address, self.timeout, self.source_address, self.socket_options)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"no connection within {self.timeout} s") from error
        except OSError as error:
            raise NewConnectionError(self, f"no connection: {error}") from error


class _CheckedConnection(_Checked, WireConnection):
    pass


class _CheckedTLSConnection(_Checked, WireTLSConnection):
    pass


class _CheckedPool(WirePool):
    ConnectionCls = _CheckedConnection


class _CheckedTLSPool(WireTLSPool):
    ConnectionCls = _CheckedTLSConnection


_POOLS = {"http": _CheckedPool, "https": _CheckedTLSPool}


class _BoundedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - requests'
        super().init_poolmanager(*args, **options)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> ProxyManager:  # noqa: ANN401 - requests'
        manager: ProxyManager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def bounded_session() -> requests.Session:
    """A session whose time-outs hold as `objectstores.wire` says. Use it with `stream=True`, and `read_body`.

    A request may raise LinkLocalAddress.
    """
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _BoundedAdapter())
    # What is unpacked is larger than what a limit counts.
    session.headers["Accept-Encoding"] = "identity"
    return session


def read_body(response: requests.Response, limit: int = MAX_BODY) -> bytes:
    """The whole body of a streamed response. Raises requests.RequestException if it does not arrive, or exceeds the limit."""
    try:
        body: bytes = response.raw.read(limit + 1, decode_content=True)
    except (HTTPError, OSError) as error:
        raise requests.ConnectionError(error) from error
    if len(body) > limit:
        raise requests.RequestException(f"an answer of more than {limit:,} bytes")
    if response.raw.length_remaining:
        raise requests.ConnectionError(f"the answer ended {response.raw.length_remaining} bytes early")
    return body
