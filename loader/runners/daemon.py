"""The loop that feeds one server: its feeds take turns, until it is told to stop, or once each.

`fnload` runs it for one feed, `fnload --all` in a thread for each server, and jobs go by the same rules (`finish_pass`). What
is fed is read again and again, so feeds may be added, paused, resumed and removed meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import QuerySet

from core.logs import log_context
from core.processes import monotonic
from loader.coordination.turn_taking import YIELD_SECONDS
from loader.feeds.manage import client_for, mark_running, mark_stopped, pause_feeds
from loader.models import Feed
from loader.pipeline.context import LoadContext
from loader.pipeline.feed_pass import FeedPass
from loader.pipeline.result import PassResult
from objectstores import open_store
from objectstores.base import Store, StoreError

READ_AGAIN = 5.0
"""Seconds until a change of the feeds is noticed."""
AFTER_TROUBLE = 15.0
SLICE = 0.1


def finish_pass(feed: Feed, result: PassResult, interval: float, db: str, *, more: bool = False) -> float:
    """Seconds until the next pass of this feed. A feed whose server or store is the wrong one is paused."""
    if result.misconfigured:
        pause_feeds(Feed.objects.using(db).filter(pk=feed.pk), result.trouble)
    if result.trouble:
        return min(interval, AFTER_TROUBLE)
    return 0.0 if more or result.due else interval


@dataclass
class Loading:
    """How feeds are loaded by a command."""

    feeds: Callable[[], QuerySet[Feed]]
    """What is to be fed now."""
    db: str
    once: bool
    interval: float | None
    """Seconds between two scans; None: each feed's own."""
    stop: Callable[[], bool]
    say: Callable[[Feed | None, str], None]
    report: Callable[[Feed, PassResult], None]
    progress: Callable[[int, int], None] = lambda _done, _due: None
    even_if_paused: bool = False
    must_begin: bool = False
    """Trouble before the first scan ends it: the call itself is likely to be wrong."""
    statuses: list[int] = field(default_factory=list)
    """With `once`, of each feed: 0 everything that was due is in, 10 not everything, 1 trouble."""
    trouble: str = ""
    """The last trouble of a feed."""

    def wait(self, seconds: float) -> None:
        """Waits, but not longer than until it is told to stop."""
        until = monotonic() + seconds
        while monotonic() < until and not self.stop():
            time.sleep(SLICE)

    def database_failed(self, error: Exception) -> None:
        """The database failed, or a feed was removed while it was fed."""
        self.trouble = "Database error: " + (str(error).strip() or type(error).__name__).splitlines()[0]
        if self.once:
            self.say(None, self.trouble)
            self.statuses.append(1)
        else:
            self.say(None, f"{self.trouble}; retrying.")
        connections[self.db].close()


@dataclass
class FeedSlot:
    """One feed of a server, and when its next turn is."""

    feed_pass: FeedPass
    even_if_paused: bool
    next_at: float = 0.0
    trouble: str = ""

    @property
    def feed(self) -> Feed:
        """As it was last read."""
        return self.feed_pass.context.feed

    @property
    def ready(self) -> bool:
        """Whether it wants a turn now."""
        return monotonic() >= self.next_at and (self.even_if_paused or not self.feed.paused_at)

    def close(self) -> None:
        """Gives back its connections."""
        self.feed_pass.context.fn4.close()
        self.feed_pass.context.store.close()


class ServerWorker:
    """The feeds of one server, one after the other."""

    def __init__(self, loading: Loading, server: int) -> None:
        self.loading, self._server = loading, server
        self.slots: dict[int, FeedSlot] = {}
        self._failed: dict[int, float] = {}
        """Feeds whose store could not be opened, and when to try again."""
        self._done: set[int] = set()

    def run(self) -> None:
        """Until there is nothing to feed, or it is time to stop. Raises what the database raises before the first scan, if
        that must be seen."""
        loading = self.loading
        while not loading.stop():
            try:
                self._refresh()
                if not self.slots and not self._failed:
                    return
                for slot in [slot for slot in self.slots.values() if slot.ready]:
                    with log_context(feed=slot.feed.name):
                        self._turn(slot)
                    if loading.must_begin and loading.trouble and not slot.feed_pass.begun:
                        loading.statuses.append(1)
                        return
            except (DatabaseError, InterfaceError, ObjectDoesNotExist) as error:
                begun = any(slot.feed_pass.begun for slot in self.slots.values())
                if loading.must_begin and (loading.once or not begun) and not isinstance(error, ObjectDoesNotExist):
                    raise
                loading.database_failed(error)
                if loading.once:
                    return
                loading.wait(AFTER_TROUBLE)
            else:
                self._rest()
        for slot in self.slots.values():
            if result := slot.feed_pass.unfinished:
                loading.report(slot.feed, replace(result, stopped=True))
            if not loading.once:
                mark_stopped(slot.feed, loading.db)

    def add(self, feed: Feed, store: Store) -> None:
        """A feed whose store is open already."""
        loading = self.loading
        context = LoadContext(feed, store, client_for(feed), loading.db, loading.stop, progress=loading.progress)
        context.say = lambda text: loading.say(context.feed, text)
        slot = self.slots[feed.pk] = FeedSlot(FeedPass(context), loading.even_if_paused)
        context.others = lambda: any(other.ready for other in list(self.slots.values()) if other is not slot)

    def close(self) -> None:
        """Gives back what it holds."""
        for slot in self.slots.values():
            slot.close()

    def _refresh(self) -> None:
        """Reads which feeds there are: new ones get a slot, others have the settings of now, and some are no more."""
        rows = self.loading.feeds().filter(server=self._server).select_related("server")
        feeds = {feed.pk: feed for feed in rows}
        for pk in set(self.slots) - set(feeds):
            self.slots.pop(pk).close()
        self._failed = {pk: at for pk, at in self._failed.items() if pk in feeds}
        for pk, feed in sorted(feeds.items()):
            if pk in self.slots:
                self.slots[pk].feed_pass.context.feed = feed
            elif pk not in self._done and monotonic() >= self._failed.get(pk, 0.0):
                self._open(feed)

    def _open(self, feed: Feed) -> None:
        self._failed.pop(feed.pk, None)
        try:
            self.add(feed, open_store(feed.store_url))
        except StoreError as error:
            self.loading.say(feed, str(error))
            if self.loading.once:
                self.loading.statuses.append(1)
                self._done.add(feed.pk)
            else:
                self._failed[feed.pk] = monotonic() + AFTER_TROUBLE

    def _turn(self, slot: FeedSlot) -> None:
        loading, feed = self.loading, slot.feed
        interval = feed.interval if loading.interval is None else loading.interval
        if not loading.once:
            mark_running(feed, interval, loading.db)
        result = slot.feed_pass.turn()
        if slot.feed_pass.unfinished:
            if slot.feed_pass.context.lease.is_wanted():
                loading.wait(YIELD_SECONDS)
            return
        if loading.once or not result.stopped or result.inserted:
            loading.report(feed, result)
        loading.trouble = result.trouble
        wait = finish_pass(feed, result, interval, loading.db) if not loading.once else 0.0
        if result.misconfigured and not loading.once:
            loading.say(feed, f"Feed paused: {result.trouble} Fix it, then: manage.py feed resume {feed.name}")
        elif result.trouble not in ("", slot.trouble) and not (
            loading.must_begin and (loading.once or not slot.feed_pass.begun)
        ):
            loading.say(feed, result.trouble)
        slot.trouble, slot.next_at = result.trouble, monotonic() + wait
        if loading.once:
            loading.statuses.append(1 if result.trouble else 0 if result.clean else 10)
            self._done.add(feed.pk)
            self.slots.pop(feed.pk).close()

    def _rest(self) -> None:
        """Until somebody wants a turn, or the feeds are to be read again."""
        until = monotonic() + READ_AGAIN
        while not self.loading.stop() and monotonic() < until and not any(slot.ready for slot in self.slots.values()):
            if self.loading.once and not self.slots:
                return
            time.sleep(SLICE)
