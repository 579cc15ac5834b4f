"""The loop that feeds one server: its feeds take turns, until it is stopped, or once each.

`fnload` runs it for one feed, `fnload --all` in a thread for each server, and jobs follow the same rules (`finish_pass`).
Feeds are read every few seconds, so they may be added, paused, resumed and removed meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import QuerySet

from core.formatting import first_line
from core.last_writes import last_write
from core.logs import log_context
from core.processes import monotonic
from loader.coordination.engine_question import seconds_until_asked
from loader.coordination.turn_taking import YIELD_SECONDS
from loader.feeds.manage import client_for, mark_running, mark_stopped, pause_feeds
from loader.feeds.store_urls import open_feed_store
from loader.models import Feed
from loader.pipeline.context import LoadContext
from loader.pipeline.feed_pass import FeedPass
from loader.pipeline.result import PassResult
from objectstores.base import Store, StoreError

REFRESH_SECONDS = 5.0
"""Time until a change of the feeds is noticed."""
RETRY_SECONDS = 15.0
POLL_SECONDS = 0.1


def finish_pass(feed: Feed, result: PassResult, interval: float, db: str, *, more: bool = False) -> float:
    """Seconds until the next pass of this feed. A feed with a wrong server or store is paused."""
    if result.misconfigured:
        pause_feeds(Feed.objects.using(db).filter(pk=feed.pk), result.trouble)
    if result.trouble:
        wait = min(interval, RETRY_SECONDS)
        # A server that refuses every insert is asked about itself as soon as it may be.
        until_asked = seconds_until_asked(feed.server, db)
        return wait if until_asked is None else min(wait, until_asked + 0.05)
    return 0.0 if more or result.due else interval


@dataclass
class LoadOptions:
    """How a command loads feeds."""

    feeds: Callable[[], QuerySet[Feed]]
    """The feeds to load now."""
    db: str
    once: bool
    interval: float | None
    """Seconds between two scans; None: the interval of each feed."""
    stop: Callable[[], bool]
    log: Callable[[Feed | None, str], None]
    report: Callable[[Feed, PassResult], None]
    progress: Callable[[int, int], None] = lambda _done, _due: None
    even_if_paused: bool = False
    fail_early: bool = False
    """Trouble before the first scan ends the loop: the call itself is probably wrong."""
    statuses: list[int] = field(default_factory=list)
    """With `once`, of each feed: 0 everything due is loaded, 10 not everything, 1 trouble."""
    trouble: str = ""
    """Of the feed that had one last."""

    def wait(self, seconds: float, early: Callable[[], bool] = lambda: False) -> None:
        """Waits, and ends early if the loader is to stop, or `early` is true."""
        until = monotonic() + seconds
        while monotonic() < until and not self.stop() and not early():
            time.sleep(POLL_SECONDS)

    def database_failed(self, error: Exception) -> None:
        """The database failed, or a feed was removed while it was loaded."""
        self.trouble = f"Database error: {first_line(error)}"
        if self.once:
            self.log(None, self.trouble)
            self.statuses.append(1)
        else:
            self.log(None, f"{self.trouble}; retrying.")
        connections[self.db].close()


@dataclass
class FeedSlot:
    """One feed of a server, and the time of its next turn."""

    feed_pass: FeedPass
    even_if_paused: bool
    next_at: float = 0.0
    trouble: str = ""

    @property
    def feed(self) -> Feed:
        """The feed as it was last read."""
        return self.feed_pass.context.feed

    @property
    def ready(self) -> bool:
        """Whether its next turn is due."""
        return monotonic() >= self.next_at and (self.even_if_paused or not self.feed.paused_at)

    def close(self) -> None:
        """Closes its connections."""
        self.feed_pass.context.fn4.close()
        self.feed_pass.context.store.close()


class ServerWorker:
    """The feeds of one server, one after the other."""

    def __init__(self, options: LoadOptions, server: int) -> None:
        self.options, self._server = options, server
        self.slots: dict[int, FeedSlot] = {}
        self._retry_at: dict[int, float] = {}
        """Feeds whose store could not be opened."""
        self._finished: set[int] = set()

    def run(self) -> None:
        """Loads until there is no feed left, or the loader is to stop. With `fail_early`, raises early database errors."""
        options = self.options
        while not options.stop():
            try:
                self._refresh()
                if not self.slots and not self._retry_at:
                    return
                for slot in [slot for slot in self.slots.values() if slot.ready]:
                    with log_context(feed=slot.feed.name):
                        self._turn(slot)
                    if options.fail_early and options.trouble and not slot.feed_pass.begun:
                        options.statuses.append(1)
                        return
            except (DatabaseError, InterfaceError, ObjectDoesNotExist) as error:
                begun = any(slot.feed_pass.begun for slot in self.slots.values())
                if options.fail_early and (options.once or not begun) and not isinstance(error, ObjectDoesNotExist):
                    raise
                options.database_failed(error)
                if options.once:
                    return
                options.wait(RETRY_SECONDS)
            else:
                # Until a turn is due, or it is time to read the feeds again.
                options.wait(
                    REFRESH_SECONDS,
                    lambda: any(slot.ready for slot in self.slots.values()) or (options.once and not self.slots),
                )
        for slot in self.slots.values():
            if result := slot.feed_pass.unfinished:
                options.report(slot.feed, replace(result, stopped=True))
            if not options.once:
                with last_write(options.db):
                    mark_stopped(slot.feed, options.db)

    def add(self, feed: Feed, store: Store) -> None:
        """Adds a feed whose store is open."""
        options = self.options
        context = LoadContext(feed, store, client_for(feed), options.db, options.stop, progress=options.progress)
        context.log = lambda text: options.log(context.feed, text)
        slot = self.slots[feed.pk] = FeedSlot(FeedPass(context), options.even_if_paused)
        context.others_wait = lambda: any(other.ready for other in list(self.slots.values()) if other is not slot)

    def close(self) -> None:
        """Closes the connections of its feeds."""
        for slot in self.slots.values():
            slot.close()

    def _refresh(self) -> None:
        """Reads the feeds: adds new ones, updates settings, drops those that were removed or paused."""
        rows = self.options.feeds().filter(server=self._server).select_related("server")
        feeds = {feed.pk: feed for feed in rows}
        for pk in set(self.slots) - set(feeds):
            self.slots.pop(pk).close()
        self._retry_at = {pk: at for pk, at in self._retry_at.items() if pk in feeds}
        for pk, feed in sorted(feeds.items()):
            if pk in self.slots:
                self.slots[pk].feed_pass.context.feed = feed
                continue
            if pk in self._finished or monotonic() < self._retry_at.get(pk, 0.0):
                continue
            self._retry_at.pop(pk, None)
            try:
                self.add(feed, open_feed_store(feed.store_url))
            except StoreError as error:
                self.options.log(feed, str(error))
                if self.options.once:
                    self.options.statuses.append(1)
                    self._finished.add(pk)
                else:
                    self._retry_at[pk] = monotonic() + RETRY_SECONDS

    def _turn(self, slot: FeedSlot) -> None:
        options, feed = self.options, slot.feed
        interval = feed.interval if options.interval is None else options.interval
        if not options.once:
            mark_running(feed, interval, options.db)
        result = slot.feed_pass.turn()
        if slot.feed_pass.unfinished:
            if slot.feed_pass.context.lease.is_wanted():
                options.wait(YIELD_SECONDS)
            return
        if options.once or not result.stopped or result.inserted:
            options.report(feed, result)
        options.trouble = result.trouble
        wait = finish_pass(feed, result, interval, options.db) if not options.once else 0.0
        if result.misconfigured and not options.once:
            options.log(feed, f"Feed paused: {result.trouble} Fix it, then run: manage.py feed resume {feed.name}")
        elif result.trouble not in ("", slot.trouble) and not (
            options.fail_early and (options.once or not slot.feed_pass.begun)
        ):
            options.log(feed, result.trouble)
        slot.trouble, slot.next_at = result.trouble, monotonic() + wait
        if options.once:
            options.statuses.append(1 if result.trouble else 0 if result.clean else 10)
            self._finished.add(feed.pk)
            self.slots.pop(feed.pk).close()
