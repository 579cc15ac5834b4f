"""Loading in background jobs: a time slice each, bounded in time and number; the next job continues (docs/jobs.md).

The tables say what is to be done, and a job only makes a worker read them: it may come twice, late, or never. It never
waits: while another loader holds the lease, or the end of an insert is unclear, it ends, and a later job continues.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now

from core.due import CLOCK_TOLERANCE, older_than
from core.logs import log_context
from core.processes import is_dead, monotonic
from loader.coordination.lease import bring_back_leases
from loader.feeds.manage import client_for
from loader.feeds.store_urls import open_feed_store
from loader.models import Feed, Server
from loader.pipeline.context import LoadContext
from loader.pipeline.feed_pass import FeedPass
from loader.pipeline.result import PassResult
from loader.runners.daemon import finish_pass
from objectstores.base import StoreError

MAX_SAMPLES = 20_000
"""A time slice is over after this many samples, or after JOB_STRETCH seconds."""
GRACE_SECONDS = 20.0
"""Time after the slice in which open attempts are still inserted; the rest are closed as not sent."""
LOST_AFTER = timedelta(seconds=90)
"""A job that was queued earlier may have been lost with its worker: another one is queued."""

_IS_DUE = Q(next_look_at=None) | Q(next_look_at__lte=Now())

log = logging.getLogger("fnloader.loader")


@dataclass(frozen=True)
class SliceReport:
    """What one time slice did."""

    feed: Feed
    result: PassResult

    def __str__(self) -> str:
        result = self.result
        numbers = (
            f"{result.due} due, {result.inserted} inserted, {result.already_there} already there, "
            f"{result.rejected} rejected, {result.postponed} postponed{result.unproven_text}"
        )
        return f"{self.feed.name}: {result.trouble or numbers}"


def servers_to_nudge(db: str = "default") -> list[int]:
    """Servers that need a job: a scheduled feed is due, or its loader vanished.

    This is also the reaper: the job takes over a lease that expired, or whose owner is dead. What a clock that was ahead has
    left in the future is brought back before.
    """
    bring_back_leases(Server.objects.using(db))
    _bring_back_looks(db)
    scheduled = Feed.objects.using(db).filter(scheduled=True, paused_at=None)
    due = set(scheduled.filter(_IS_DUE).values_list("server", flat=True))
    servers = (
        Server.objects.using(db).filter(pk__in=scheduled.values("server")).annotate(expired=Q(lease_expires__lt=Now()))
    )
    chosen = []
    for server in servers.order_by("pk"):
        vanished = bool(server.lease_token) and (server.expired or is_dead(server.lease_process))
        if vanished or (server.pk in due and not server.lease_token):
            chosen.append(server.pk)
    return chosen


def _bring_back_looks(db: str) -> None:
    """No feed waits longer than its interval."""
    later = Feed.objects.using(db).filter(scheduled=True, next_look_at__gt=Now() + CLOCK_TOLERANCE).annotate(now=Now())
    for feed in later:
        if feed.next_look_at and feed.next_look_at > feed.now + timedelta(seconds=feed.interval) + CLOCK_TOLERANCE:
            rows = Feed.objects.using(db).filter(pk=feed.pk, next_look_at=feed.next_look_at)
            rows.update(next_look_at=Now())


def mark_queued(server: int, db: str = "default") -> bool:
    """Marks the server as queued; False if it already is. The caller that gets True queues the job."""
    return bool(
        Server.objects.using(db).filter(older_than("job_queued_at", LOST_AFTER), pk=server).update(job_queued_at=Now())
    )


def unmark_queued(server: int, db: str = "default") -> bool:
    """Called when a job starts; False if another job has done its work: this one came twice, or late."""
    return bool(Server.objects.using(db).filter(pk=server).exclude(job_queued_at=None).update(job_queued_at=None))


def next_feed(server: int, db: str = "default") -> Feed | None:
    """The scheduled feed of a server that has waited longest."""
    feeds = Feed.objects.using(db).filter(scheduled=True, paused_at=None, server=server).select_related("server")
    vanished = Q(server__lease_expires__lt=Now())
    ready = feeds.filter(_IS_DUE | vanished)
    return ready.order_by(F("next_look_at").asc(nulls_first=True), "pk").first()


def run_time_slice(feed: Feed, stop: Callable[[], bool], db: str = "default") -> SliceReport:
    """Loads a feed for up to JOB_STRETCH seconds, and sets when to continue. Trouble is part of the result, not raised.

    It continues the batch that the last time slice, or a worker that died, left unfinished. Database errors are raised: the
    next time slice recovers what was open.
    """
    with log_context(feed=feed.name):
        try:
            store = open_feed_store(feed.store_url)
        except StoreError as error:
            result, more = PassResult(trouble=str(error)), False
        else:
            with closing(store), closing(client_for(feed)) as client:
                ends = monotonic() + settings.JOB_STRETCH
                context = LoadContext(
                    feed, store, client, db, lambda: stop() or monotonic() > ends + GRACE_SECONDS, log.info
                )
                context.slice_over = lambda samples: samples > MAX_SAMPLES or monotonic() > ends
                feed_pass = FeedPass(context)
                result = feed_pass.turn()
                more = bool(feed_pass.unfinished) or result.stopped
        wait = finish_pass(feed, result, float(feed.interval), db, more=more)
        Feed.objects.using(db).filter(pk=feed.pk).update(next_look_at=Now() + timedelta(seconds=wait))
    return SliceReport(feed, result)
