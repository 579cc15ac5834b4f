"""Connections that never lead to a link-local address, or to one where a cloud gives out its machine's credentials."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress

from django.conf import settings
from urllib3.util.connection import create_connection

NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",  # AWS
        "fd20:ce::254/128",  # Google
        "fd00:c1::a9fe:a9fe/128",  # Oracle
        "192.0.0.192/32",  # Oracle, the older regions
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class LinkLocalAddress(ValueError):
    """A host that leads to such an address; the text names both, and the setting."""


def checked_connection(
    address: tuple[str, int],
    timeout: float | None = None,
    source_address: tuple[str, int] | None = None,
    socket_options: list[tuple[int, int, int | bytes]] | None = None,
) -> socket.socket:
    """As `socket.create_connection`, to an address that is not link-local, unless ALLOW_LINK_LOCAL is on.

    Raises LinkLocalAddress before anything is sent. The name is resolved once, so that what was checked is what is connected to.
    """
    host, port = address
    if settings.ALLOW_LINK_LOCAL:
        return create_connection(address, timeout, source_address, socket_options)
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    candidates = list(dict.fromkeys(str(where[0]) for *_, where in found))
    for one in candidates:
        if is_link_local(one):
            raise LinkLocalAddress(
                f"{host} leads to the link-local or cloud metadata address {one}, which is refused. If a server is really "
                "there, set ALLOW_LINK_LOCAL=on"
            )
    *others, last = candidates
    for one in others:
        with suppress(OSError):
            return create_connection((one, port), timeout, source_address, socket_options)
    return create_connection((last, port), timeout, source_address, socket_options)


def is_link_local(text: str) -> bool:
    """Whether an address, or the IPv4 address in an IPv6 one, is in NETWORKS."""
    return any(form in network for form in _forms(ipaddress.ip_address(text.partition("%")[0])) for network in NETWORKS)


def _forms(address: Address) -> Iterator[Address]:
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64 or address in _IPV4_COMPATIBLE:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        yield from filter(None, (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())))
