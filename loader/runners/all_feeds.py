"""All feeds in one process: a thread for each server, in which its feeds take turns (`fnload --all`).

What is fed is read again and again, so feeds may be added, paused, resumed and removed meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import QuerySet

from core.logs import log_context
from core.processes import monotonic
from loader.feeds.manage import client_for, mark_running, mark_stopped, pause_feeds
from loader.models import Feed
from loader.pipeline.feed_pass import FeedPass
from loader.pipeline.result import PassResult
from objectstores import open_store
from objectstores.base import StoreError

READ_AGAIN = 5.0
"""Seconds until a change of the feeds is noticed."""
AFTER_TROUBLE = 15.0
SLICE = 0.1
WORST_FIRST = (1, 10, 0)
Report = Callable[[Feed, PassResult], None]


@dataclass
class FeedSlot:
    """One feed of a server, and when its next turn is."""

    loader: FeedPass
    next_at: float = 0.0
    trouble: str = ""

    @property
    def ready(self) -> bool:
        """Whether it wants a turn now."""
        return self.loader.unfinished or monotonic() >= self.next_at

    def close(self) -> None:
        """Gives back its connections."""
        self.loader.fn4.close()
        self.loader.store.close()


@dataclass
class AllFeedsRunner:
    """Feeds every server of a database that has a feed which is not paused."""

    db: str
    once: bool
    interval: float | None
    """Seconds between two looks; None: each feed's own."""
    stop: Callable[[], bool]
    say: Callable[[str], None]
    report: Report
    _statuses: list[int] = field(default_factory=list)

    def run(self) -> int:
        """Until it is told to stop, or once each. Returns the worst of the feeds' exit statuses, in the order 1, 10, 0."""
        threads: dict[int, threading.Thread] = {}
        while not self.stop():
            for server in self._servers():
                if not (server in threads and threads[server].is_alive()):
                    threads[server] = threading.Thread(target=self._serve, args=(server,), name=f"server-{server}")
                    threads[server].start()
            if self.once:
                break
            self.wait(READ_AGAIN)
        for thread in threads.values():
            thread.join()
        return next(status for status in WORST_FIRST if status in (*self._statuses, 0))

    def feeds(self) -> QuerySet[Feed]:
        """What is to be fed."""
        return Feed.objects.using(self.db).filter(paused_at=None)

    def tell(self, status: int) -> None:
        """The exit status of one feed, or of what kept it from being fed."""
        if self.once:
            self._statuses.append(status)

    def failed(self, error: Exception) -> None:
        """The database failed, or a feed was removed while it was fed."""
        self.say(f"The database failed ({str(error).strip().splitlines()[0]}).")
        self.tell(1)
        connections[self.db].close()

    def wait(self, seconds: float) -> None:
        """Waits, but not longer than until it is told to stop."""
        until = monotonic() + seconds
        while monotonic() < until and not self.stop():
            time.sleep(SLICE)

    def _servers(self) -> list[int]:
        try:
            return list(self.feeds().order_by("server").values_list("server", flat=True).distinct())
        except (DatabaseError, InterfaceError) as error:
            if self.once:
                raise
            self.failed(error)
            return []

    def _serve(self, server: int) -> None:
        """What a thread does. Its connections end with it."""
        lane = ServerWorker(self, server)
        try:
            lane.run()
        finally:
            lane.close()
            connections.close_all()


class ServerWorker:
    """The feeds of one server, one after the other."""

    def __init__(self, all_of_them: AllFeedsRunner, server: int) -> None:
        self.all, self._server = all_of_them, server
        self.slots: dict[int, FeedSlot] = {}
        self._refused: dict[int, float] = {}
        self._done: set[int] = set()

    def run(self) -> None:
        """Until there is nothing to feed, or it is time to stop."""
        while not self.all.stop():
            try:
                self._refresh()
                if not self.slots and not self._refused:
                    return
                for slot in [slot for slot in self.slots.values() if slot.ready]:
                    with log_context(feed=slot.loader.feed.name):
                        self._turn(slot)
            except (DatabaseError, InterfaceError, ObjectDoesNotExist) as error:
                self.all.failed(error)
                if self.all.once:
                    return
                self.all.wait(AFTER_TROUBLE)
            else:
                self._rest()
        for slot in self.slots.values():
            mark_stopped(slot.loader.feed, self.all.db)

    def close(self) -> None:
        """Gives back what it holds."""
        for slot in self.slots.values():
            slot.close()

    def _refresh(self) -> None:
        """Reads which feeds there are: new ones get a slot, others have the settings of now, and some are no more."""
        feeds = {feed.pk: feed for feed in self.all.feeds().filter(server=self._server).select_related("server")}
        for pk in set(self.slots) - set(feeds):
            self.slots.pop(pk).close()
        self._refused = {pk: at for pk, at in self._refused.items() if pk in feeds}
        for pk, feed in sorted(feeds.items()):
            if pk in self.slots:
                self.slots[pk].loader.feed = feed
            elif pk not in self._done and monotonic() >= self._refused.get(pk, 0.0):
                self._open(feed)

    def _open(self, feed: Feed) -> None:
        self._refused.pop(feed.pk, None)
        try:
            store = open_store(feed.store_url)
        except StoreError as error:
            self._say(feed, str(error))
            self.all.tell(1)
            if self.all.once:
                self._done.add(feed.pk)
            else:
                self._refused[feed.pk] = monotonic() + AFTER_TROUBLE
            return
        loader = FeedPass(feed, store, client_for(feed), self.all.db, self.all.stop)
        slot = self.slots[feed.pk] = FeedSlot(loader)
        loader.say = lambda text: self._say(loader.feed, text)
        loader.others = lambda: any(other.ready for other in list(self.slots.values()) if other is not slot)

    def _turn(self, slot: FeedSlot) -> None:
        feed = slot.loader.feed
        interval = feed.interval if self.all.interval is None else self.all.interval
        if not self.all.once:
            mark_running(feed, interval, self.all.db)
        result = slot.loader.turn()
        if slot.loader.unfinished:
            return
        if not result.stopped or result.inserted:
            self.all.report(feed, result)
        if result.trouble and result.trouble != slot.trouble:
            self._say(feed, result.trouble)
        slot.trouble = result.trouble
        if self.all.once:
            self._finished(slot, result)
            return
        if result.misconfigured:
            pause_feeds(Feed.objects.using(self.all.db).filter(pk=feed.pk), result.trouble)
            self._say(feed, f"paused. When that is mended: manage.py feed resume {feed.name}")
        if result.trouble:
            interval = min(interval, AFTER_TROUBLE)
        slot.next_at = monotonic() + (0.0 if result.due and not result.trouble else interval)

    def _finished(self, slot: FeedSlot, result: PassResult) -> None:
        """With --once: this feed has had its pass."""
        self.all.tell(1 if result.trouble else 0 if result.clean else 10)
        self._done.add(slot.loader.feed.pk)
        del self.slots[slot.loader.feed.pk]
        slot.close()

    def _rest(self) -> None:
        """Until somebody wants a turn, or the feeds are to be read again."""
        until = monotonic() + READ_AGAIN
        while not self.all.stop() and monotonic() < until and not any(slot.ready for slot in self.slots.values()):
            if self.all.once and not self.slots:
                return
            time.sleep(SLICE)

    def _say(self, feed: Feed, text: str) -> None:
        self.all.say(f"{feed.name}: {text}")
