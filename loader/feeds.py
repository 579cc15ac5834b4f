"""Finds or makes the feed that a command names: a server, a store, and where they are written down."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.text import slugify

from loader.ledger import digest
from loader.models import URL_LENGTH, Feed, Server
from loader.server import FindNeighbour4


class WrongUrl(ValueError):
    """A server's URL that can't be one; the text names it and the way out."""


def normalise(url: str) -> str:
    """A server's URL in one spelling: scheme and host in lower case, no default port, no slash at the end."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise WrongUrl(f"'{url}' is no URL ({error}).") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise WrongUrl(f"'{url}' is no URL of a findNeighbour4 server. It must look like http://localhost:5025.")
    if "@" in parts.netloc:
        raise WrongUrl("A server's URL must not hold a password. Put user:password into FN4_AUTH or FN4_AUTH_<FEED>.")
    if len(url) > URL_LENGTH - 100:
        raise WrongUrl("The server's URL is too long.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}{f':{port}' if port and port != default else ''}{parts.path.rstrip('/')}"


def identity(url: str, host_name: str) -> str:
    """Which server a normalised URL means: on another host, `localhost` is another server (design.md, "The data")."""
    host = urlsplit(url).hostname or ""
    return f"{url} on {host_name}" if _is_loopback(host) else url


def feed_for(server_url: str, store_url: str, db: str) -> Feed:
    """The feed of this server and store; made, unscheduled, if there is none. Raises WrongUrl."""
    url = normalise(server_url)
    with transaction.atomic(using=db):
        server, _ = Server.objects.using(db).get_or_create(
            identity=identity(url, settings.HOST_NAME), defaults={"url": url}
        )
        found = (
            Feed.objects.using(db)
            .select_related("server")
            .filter(server=server, store_digest=digest(store_url))
            .first()
        )
        return found or Feed.objects.using(db).create(
            name=_free_name(store_url, db), server=server, store_url=store_url, store_digest=digest(store_url)
        )


def client_for(feed: Feed) -> FindNeighbour4:
    """A client of the feed's server, with the password that the environment holds for it."""
    passwords: dict[str, str] = settings.FN4_AUTH
    auth = passwords.get(feed.name.upper().replace("-", "_"), passwords.get("", ""))
    return FindNeighbour4(feed.server.url, auth, settings.FN4_CA_BUNDLE)


def _free_name(store_url: str, db: str) -> str:
    base = slugify(urlsplit(store_url).netloc.partition("@")[0] or store_url)[:50] or "feed"
    taken = set(Feed.objects.using(db).filter(name__startswith=base).values_list("name", flat=True))
    return next(
        name for number in range(1, 10**6) if (name := base if number == 1 else f"{base}-{number}") not in taken
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
