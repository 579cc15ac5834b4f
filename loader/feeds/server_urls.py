"""The URL of a findNeighbour4 server: its normal form, and which server it means."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from urllib.parse import urlsplit

from loader.models.feeds import URL_LENGTH
from objectstores.answers import without_password

_PASSWORD = re.compile(r"^[^?#]*//.*@")
"""Also one with a slash, which a parser would take for the beginning of the path."""


class WrongUrl(ValueError):
    """Not the URL of a server; the text names it and what to do."""


def normalise(url: str) -> str:
    """The normal form: scheme and host in lower case, no default port, no slash at the end."""
    if _PASSWORD.search(url):
        raise WrongUrl(
            "The server's URL contains a password. Set FN4_AUTH or FN4_AUTH_<FEED> to user:password instead."
        )
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise WrongUrl(f"'{url}' is not a URL ({error}).") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise WrongUrl(f"'{without_password(url)}' is not the URL of a server. Use a URL like http://localhost:5025.")
    if len(url) > URL_LENGTH - 100:
        raise WrongUrl("The server's URL is too long.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}{f':{port}' if port and port != default else ''}{parts.path.rstrip('/')}"


def identity(url: str, host_name: str) -> str:
    """Which server a normalised URL means: on another host, `localhost` is another server (design.md, "The data")."""
    return f"{url} on {host_name}" if is_loopback(url) else url


def is_loopback(url: str) -> bool:
    """Whether a URL names this host itself."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")
