"""Find, add, pause and resume feeds."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.text import slugify

from core.digests import digest
from core.exceptions import OperationRefused
from loader.feeds.server_urls import identity, normalise
from loader.feeds.store_urls import canonical_store_url, open_feed_store
from loader.models import Feed, Server

if TYPE_CHECKING:
    from loader.fn4.client import FindNeighbour4


def get_or_create_feed(server_url: str, store_url: str, db: str) -> Feed:
    """The feed of this server and store; added, unscheduled, if there is none. Raises WrongUrl, and StoreError as `add_feed`."""
    url = normalise(server_url)
    server_identity = identity(url, settings.HOST_NAME)
    if feed := _find_feed(server_identity, store_url, db):
        return feed
    stored_url = canonical_store_url(store_url)
    open_feed_store(stored_url).close()
    base = slugify(urlsplit(store_url).netloc.partition("@")[0] or store_url)[:50] or "feed"
    with transaction.atomic(using=db):
        server, _ = Server.objects.using(db).get_or_create(identity=server_identity, defaults={"url": url})
        taken = set(Feed.objects.using(db).filter(name__startswith=base).values_list("name", flat=True))
        names = chain([base], (f"{base}-{number}" for number in count(2)))
        return Feed.objects.using(db).create(
            name=next(name for name in names if name not in taken),
            server=server,
            store_url=stored_url,
            store_digest=digest(stored_url),
        )


def get_feed(name: str, db: str) -> Feed:
    """The feed of that name, with its server. Raises OperationRefused."""
    try:
        return Feed.objects.using(db).select_related("server").get(name=name)
    except Feed.DoesNotExist:
        known = list(Feed.objects.using(db).order_by("name").values_list("name", flat=True)[:20])
        raise OperationRefused(f"No feed '{name}'. Known feeds: {', '.join(known) or 'none'}.") from None


def add_feed(name: str, server_url: str, store_url: str, db: str, *, dry_run: bool = False, **columns: Any) -> Feed:  # noqa: ANN401
    """Adds a feed; `columns` are its settings. Raises WrongUrl, OperationRefused, and StoreError for an invalid store URL."""
    url, stored_url = normalise(server_url), canonical_store_url(store_url)
    open_feed_store(stored_url).close()
    feed = Feed(name=name, store_url=stored_url, store_digest=digest(stored_url), **columns)
    check_settings(feed)
    server_identity = identity(url, settings.HOST_NAME)
    with transaction.atomic(using=db):
        if Feed.objects.using(db).filter(name=name).exists():
            raise OperationRefused(f"A feed '{name}' already exists. Choose another name, or remove it first.")
        if same := _find_feed(server_identity, store_url, db):
            raise OperationRefused(f"The feed '{same.name}' already loads this store into this server.")
        if dry_run:
            feed.server = Server(identity=server_identity, url=url)
        else:
            feed.server, _ = Server.objects.using(db).get_or_create(identity=server_identity, defaults={"url": url})
            feed.save(using=db)
    return feed


def check_settings(feed: Feed) -> None:
    """Raises OperationRefused if a setting of the feed is not valid."""
    try:
        feed.clean_fields(exclude=["server"])
    except ValidationError as error:
        raise OperationRefused(
            " ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
        ) from None


def pause_feeds(feeds: QuerySet[Feed], reason: str) -> int:
    """Pauses those that are not paused; an insert in flight is finished. Returns their number."""
    return feeds.filter(paused_at=None).update(paused_at=Now(), pause_reason=reason)


def resume_feeds(feeds: QuerySet[Feed]) -> int:
    """Resumes paused feeds, and resets their counts of refusals. Returns their number."""
    return feeds.exclude(paused_at=None).update(paused_at=None, pause_reason="", refusals_in_row=0)


def mark_running(feed: Feed, interval: float, db: str) -> None:
    """A loader without --once runs: from now on its silence is a concern."""
    row = Feed.objects.using(db).filter(pk=feed.pk).exclude(running_since__isnull=False, running_interval=interval)
    row.update(running_since=Now(), running_interval=interval)


def mark_stopped(feed: Feed, db: str) -> None:
    """The loader was stopped, so its silence is no concern."""
    Feed.objects.using(db).filter(pk=feed.pk).update(running_since=None, running_interval=None)


def clear_shrunk(feed: Feed, db: str) -> int:
    """A person knows that the feed's server holds fewer samples than before, or has repaired that."""
    servers = Server.objects.using(db).filter(pk=feed.server_id, shrunk_at__isnull=False)
    return servers.update(shrunk_at=None, shrunk_note="")


def client_for(feed: Feed) -> FindNeighbour4:
    """A client of the feed's server, with its password from the environment."""
    from loader.fn4.client import FindNeighbour4

    passwords: dict[str, str] = settings.FN4_AUTH
    auth = passwords.get(feed.name.upper().replace("-", "_"), passwords.get("", ""))
    return FindNeighbour4(feed.server.url, auth, settings.FN4_CA_BUNDLE)


def _find_feed(server_identity: str, store_url: str, db: str) -> Feed | None:
    """The feed that was added with this URL: an older one keeps the URL as it was given, and what that meant."""
    feeds = Feed.objects.using(db).select_related("server").filter(server__identity=server_identity)
    for url in (store_url, canonical_store_url(store_url)):
        if feed := feeds.filter(store_digest=digest(url)).first():
            return feed
    return None
