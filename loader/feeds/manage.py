"""Feeds by their names, and by what they join: found, made, paused, resumed; and which server a URL means."""

from __future__ import annotations

from typing import Any
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
from loader.fn4.client import FindNeighbour4
from loader.models import Feed, Server
from loader.models.feeds import TEXT_LENGTH


def get_or_create_feed(server_url: str, store_url: str, db: str) -> Feed:
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


def get_feed(name: str, db: str) -> Feed:
    """The feed of that name, with its server. Raises OperationRefused."""
    try:
        return Feed.objects.using(db).select_related("server").get(name=name)
    except Feed.DoesNotExist:
        known = list(Feed.objects.using(db).order_by("name").values_list("name", flat=True)[:20])
        raise OperationRefused(f"There is no feed '{name}'. Known: {', '.join(known) or 'none yet'}.") from None


def add_feed(name: str, server_url: str, store_url: str, db: str, *, dry_run: bool = False, **columns: Any) -> Feed:  # noqa: ANN401
    """A new feed; `columns` are its settings. Raises WrongUrl, OperationRefused, and StoreError for a store that can't be."""
    from objectstores import open_store

    url = normalise(server_url)
    open_store(store_url).close()
    feed = Feed(name=name, store_url=store_url, store_digest=digest(store_url), **columns)
    try:
        feed.clean_fields(exclude=["server"])
    except ValidationError as error:
        raise OperationRefused(
            " ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
        ) from None
    who = identity(url, settings.HOST_NAME)
    with transaction.atomic(using=db):
        if Feed.objects.using(db).filter(name=name).exists():
            raise OperationRefused(f"There is a feed '{name}' already: choose another name, or remove it first.")
        same = Feed.objects.using(db).filter(server__identity=who, store_digest=feed.store_digest).first()
        if same:
            raise OperationRefused(f"The feed '{same.name}' loads this store into this server already.")
        if dry_run:
            feed.server = Server(identity=who, url=url)
        else:
            feed.server, _ = Server.objects.using(db).get_or_create(identity=who, defaults={"url": url})
            feed.save(using=db)
    return feed


def pause_feeds(feeds: QuerySet[Feed], reason: str) -> int:
    """Pauses those that are not paused; an insert in flight is finished. Returns how many."""
    return feeds.filter(paused_at=None).update(paused_at=Now(), pause_reason=reason[: TEXT_LENGTH - 100])


def resume_feeds(feeds: QuerySet[Feed]) -> int:
    """Lets paused feeds load again, and counts refusals of their servers anew. Returns how many."""
    return feeds.exclude(paused_at=None).update(paused_at=None, pause_reason="", refusals_in_row=0)


def mark_running(feed: Feed, interval: float, db: str) -> None:
    """A program that is meant to feed it until told to stop has begun, or goes on: from now on silence is a concern."""
    row = Feed.objects.using(db).filter(pk=feed.pk).exclude(running_since__isnull=False, running_interval=interval)
    row.update(running_since=Now(), running_interval=interval)


def mark_stopped(feed: Feed, db: str) -> None:
    """It was told to stop, so silence is in order."""
    Feed.objects.using(db).filter(pk=feed.pk).update(running_since=None, running_interval=None)


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
