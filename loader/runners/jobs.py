"""The background jobs' way of loading: a stretch at a time, bounded in time and number, then handed on (docs/jobs.md).

What is to be done stands in the tables, and a job is only a nudge to look there: it may come twice, late, or never. It
never waits: who holds the lease, or what an unclear insert may still become, is looked at again by a later job.
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

from core.logs import log_context
from core.processes import is_dead, monotonic
from loader.feeds.manage import client_for
from loader.models import Feed, Server
from loader.pipeline.context import LoadContext
from loader.pipeline.feed_pass import FeedPass
from loader.pipeline.result import PassResult
from loader.runners.daemon import finish_pass
from objectstores import open_store
from objectstores.base import StoreError

SAMPLES = 20_000
"""A stretch is over after so many samples, or after JOB_STRETCH seconds."""
GRACE = 20.0
"""Seconds in which what was made ready is still inserted; what is left then is given back."""
LOST_AFTER = timedelta(seconds=90)
"""A job that was queued so long ago may have been lost with its worker: another one is queued."""

_TIME_HAS_COME = Q(next_look_at=None) | Q(next_look_at__lte=Now())

log = logging.getLogger("fnloader.loader")


@dataclass(frozen=True)
class SliceReport:
    """What one stretch did."""

    feed: Feed
    result: PassResult

    def __str__(self) -> str:
        result = self.result
        numbers = (
            f"{result.due} due, {result.inserted} inserted, {result.already_there} already there, "
            f"{result.rejected} rejected, {result.postponed} postponed"
        )
        return f"{self.feed.name}: {result.trouble or numbers}"


def servers_to_nudge(db: str = "default") -> list[int]:
    """Servers for which a job is to be queued: a scheduled feed's time has come, or whoever fed it vanished.

    This is the reaper, too: a lease that expired, or whose owner is dead, is taken over by the job that comes.
    """
    scheduled = Feed.objects.using(db).filter(scheduled=True, paused_at=None)
    due = set(scheduled.filter(_TIME_HAS_COME).values_list("server", flat=True))
    servers = (
        Server.objects.using(db).filter(pk__in=scheduled.values("server")).annotate(expired=Q(lease_expires__lt=Now()))
    )
    chosen = []
    for server in servers.order_by("pk"):
        vanished = bool(server.lease_token) and (server.expired or is_dead(server.lease_process))
        if vanished or (server.pk in due and not server.lease_token):
            chosen.append(server.pk)
    return chosen


def mark_queued(server: int, db: str = "default") -> bool:
    """Notes that a job for this server is queued; False if one is already. Who gets True queues it."""
    free = Q(job_queued_at=None) | Q(job_queued_at__lt=Now() - LOST_AFTER)
    return bool(Server.objects.using(db).filter(free, pk=server).update(job_queued_at=Now()))


def unmark_queued(server: int, db: str = "default") -> bool:
    """A job for this server has come; False if its work was taken by another one: it came twice, or too late."""
    return bool(Server.objects.using(db).filter(pk=server).exclude(job_queued_at=None).update(job_queued_at=None))


def next_feed(server: int, db: str = "default") -> Feed | None:
    """The scheduled feed of a server whose turn it is: the one that has waited longest."""
    feeds = Feed.objects.using(db).filter(scheduled=True, paused_at=None, server=server).select_related("server")
    vanished = Q(server__lease_expires__lt=Now())
    ready = feeds.filter(_TIME_HAS_COME | vanished)
    return ready.order_by(F("next_look_at").asc(nulls_first=True), "pk").first()


def run_time_slice(feed: Feed, stop: Callable[[], bool], db: str = "default") -> SliceReport:
    """Loads a feed for JOB_STRETCH seconds at the most, and says when to go on. Trouble is told in the result, not raised.

    It goes on with the batch that the last stretch, or a worker that died, left unfinished. What the database raises is
    raised: whatever was under way is found open by the next stretch.
    """
    with log_context(feed=feed.name):
        try:
            store = open_store(feed.store_url)
        except StoreError as error:
            result, more = PassResult(trouble=str(error)), False
        else:
            with closing(store), closing(client_for(feed)) as client:
                ends = monotonic() + settings.JOB_STRETCH
                context = LoadContext(feed, store, client, db, lambda: stop() or monotonic() > ends + GRACE, log.info)
                context.enough = lambda samples: samples > SAMPLES or monotonic() > ends
                feed_pass = FeedPass(context)
                result = feed_pass.turn()
                more = bool(feed_pass.unfinished) or result.stopped
        wait = finish_pass(feed, result, float(feed.interval), db, more=more)
        Feed.objects.using(db).filter(pk=feed.pk).update(next_look_at=Now() + timedelta(seconds=wait))
    return SliceReport(feed, result)
