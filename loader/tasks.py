"""The loader's background jobs: short calls of functions that read the tables (docs/jobs.md)."""

from __future__ import annotations

from django.conf import settings

from core.formatting import pluralize
from core.jobs.decorator import job, stop_requested
from core.jobs.queueing import queue_job
from loader.maintenance import counters, reconcile_job, twins_job
from loader.maintenance import prune as pruning
from loader.models import Feed
from loader.runners import jobs


@job
def nudge_feeds() -> str:
    """Queues a job for each server that has work and no queued job; scheduled every half minute."""
    queued = [server for server in jobs.servers_to_nudge() if _queue(server)]
    return f"{pluralize(len(queued), 'server')} to load"


@job
def load_server(server: int) -> str:
    """Loads the scheduled feed of this server that has waited longest, for a time slice; then queues the next job if needed."""
    with stop_requested() as stop:
        if stop() or not jobs.unmark_queued(server):
            return "skipped: jobs are stopping, or another job was faster"
        feed = jobs.next_feed(server)
        if not feed:
            return "nothing is due"
        report = str(jobs.run_time_slice(feed, stop))
        if not stop() and server in jobs.servers_to_nudge():
            _queue(server)
        return report


@job
def load_feed(feed: int) -> str:
    """Loads this feed now, scheduled or not, at a user's request; further jobs continue until nothing is due."""
    row = Feed.objects.select_related("server").filter(pk=feed).first()
    if not row or row.paused_at:
        return f"{row or feed}: paused or removed"
    with stop_requested() as stop:
        report = jobs.run_time_slice(row, stop)
        result = report.result
        if result.due and not (result.trouble or stop()):
            queue_job("loader.tasks.load_feed", feed)
        return str(report)


@job
def reconcile_feeds() -> str:
    """Queues a comparison of each scheduled feed, then of each pair of servers that share a store; scheduled nightly."""
    feeds = list(Feed.objects.filter(scheduled=True, paused_at=None).values_list("pk", flat=True))
    for feed in feeds:
        queue_job("loader.tasks.reconcile_feed", feed)
    pairs = twins_job.twin_pairs()
    for first, second in pairs:
        queue_job("loader.tasks.compare_servers", first, second)
    return f"{pluralize(len(feeds), 'feed')} and {pluralize(len(pairs), 'pair')} of servers to compare"


@job
def reconcile_feed(feed: int) -> str:
    """Compares bucket, ledger and server of a feed, and stores the differences. Changes nothing else."""
    row = Feed.objects.select_related("server").filter(pk=feed).first()
    with stop_requested() as stop:
        return reconcile_job.reconcile_and_store(row, stop) if row else f"{feed}: removed"


@job
def compare_servers(first: int, second: int) -> str:
    """Compares two servers that should hold the same samples, and stores the differences. Changes nothing else."""
    with stop_requested() as stop:
        return twins_job.compare_and_store(first, second, stop)


@job
def count_samples() -> str:
    """Updates the counters of `/metrics`; scheduled every minute."""
    return f"{pluralize(counters.update_counters(), 'attempt')} counted"


@job
def prune() -> str:
    """Deletes old detail (PRUNE_AFTER_DAYS); scheduled nightly."""
    if not settings.PRUNE_AFTER_DAYS:
        return "PRUNE_AFTER_DAYS is 0: nothing is deleted"
    with stop_requested() as stop:
        return f"deleted: {pruning.prune(settings.PRUNE_AFTER_DAYS, stop=stop)}"


def _queue(server: int) -> bool:
    if not jobs.mark_queued(server):
        return False
    queue_job("loader.tasks.load_server", server)
    return True
