"""Metrics for Prometheus: nothing here reads a table that grows, except for waiting files (docs/monitoring.md)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import accumulate
from typing import Any

import redis
from django.db.models import Count, Min, OuterRef, QuerySet, Subquery
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from batches.choices import BatchStatus
from batches.models import Batch, IngestCheck
from core.models import Alarm, JobRun
from loader.choices import ObjectState
from loader.maintenance import counters
from loader.models import BucketObject, Feed, Server, Tally
from loader.querysets import number_of, of_feed

MAX_BATCHES = 200
COUNTED_STATES = (ObjectState.WAITING, ObjectState.LOADING, ObjectState.REJECTED)
"""Loaded files are counted by tallies: counting them here would read the whole ledger."""


def exposition() -> bytes:
    """The text of `/metrics`. Updates the tallies first."""
    counters.update_counters()
    registry = CollectorRegistry()
    registry.register(SiteCollector())
    return generate_latest(registry)


class SiteCollector(Collector):
    """Collects all metrics of the site."""

    def describe(self) -> list[Metric]:
        """Nothing, or registering would collect them too."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        for metrics in (sample_metrics, feed_metrics, server_metrics, batch_metrics, job_metrics):
            yield from metrics()


def sample_metrics() -> Iterator[Metric]:
    """Load attempts and their durations, from the tallies."""
    names = dict(Feed.objects.values_list("pk", "name"))
    samples = CounterMetricFamily(
        "fnloader_samples", "Load attempts that ended, by outcome.", labels=["feed", "outcome"]
    )
    times: dict[str, dict[str, dict[int, tuple[int, float]]]] = {
        counters.INSERT: defaultdict(dict),
        counters.READ: defaultdict(dict),
    }
    for row in Tally.objects.all():
        name = names.get(row.feed_key, "")
        if row.measure == counters.OUTCOME:
            samples.add_metric([name, row.bucket], row.number)
        elif row.measure in times:
            times[row.measure][name][int(row.bucket)] = (row.number, row.seconds)
    yield samples
    bounds = [*map(str, counters.BOUNDS), "+Inf"]
    for measure, help_text in (
        (counters.INSERT, "Duration of inserts."),
        (counters.READ, "Duration of reading a file."),
    ):
        histogram = HistogramMetricFamily(f"fnloader_{measure}_seconds", help_text, labels=["feed"])
        for name, buckets in sorted(times[measure].items()):
            numbers = accumulate(buckets.get(index, (0, 0.0))[0] for index in range(len(bounds)))
            cumulative = [(bound, float(number)) for bound, number in zip(bounds, numbers, strict=True)]
            histogram.add_metric([name], cumulative, sum(seconds for _, seconds in buckets.values()))
        yield histogram


def feed_metrics() -> Iterator[Metric]:
    """Files, lag and pauses of feeds."""
    now = timezone.now()
    files = GaugeMetricFamily("fnloader_files", "Files that are not loaded, by state.", labels=["feed", "state"])
    oldest = GaugeMetricFamily(
        "fnloader_oldest_waiting_seconds", "Seconds since the oldest waiting file was first seen.", labels=["feed"]
    )
    lag = GaugeMetricFamily(
        "fnloader_checked_seconds_ago", "Seconds since the bucket was last listed.", labels=["feed"]
    )
    paused = GaugeMetricFamily("fnloader_feed_paused", "1 if the feed is paused.", labels=["feed"])
    by_state = {state.value: BucketObject.objects.filter(state=state) for state in COUNTED_STATES}
    rows: QuerySet[Any] = Feed.objects.only("name", "checked_at", "paused_at").annotate(
        **{state: number_of(objects) for state, objects in by_state.items()},
        oldest=of_feed(by_state[ObjectState.WAITING], Min("first_seen")),
    )
    for row in rows:
        for state in COUNTED_STATES:
            files.add_metric([row.name, state], getattr(row, state))
        oldest.add_metric([row.name], _age(row.oldest, now))
        if row.checked_at:
            lag.add_metric([row.name], _age(row.checked_at, now))
        paused.add_metric([row.name], float(row.paused_at is not None))
    yield from (files, oldest, lag, paused)


def server_metrics() -> Iterator[Metric]:
    """Availability and size of servers."""
    unavailable = GaugeMetricFamily("fnloader_server_away", "1 if the server is unavailable.", labels=["server"])
    samples = GaugeMetricFamily(
        "fnloader_server_samples", "Samples in the server at the last count.", labels=["server"]
    )
    invalid = GaugeMetricFamily(
        "fnloader_server_invalid_samples", "Samples in the server with too many N to be compared.", labels=["server"]
    )
    for server in Server.objects.all():
        unavailable.add_metric([server.identity], float(server.circuit_open_since is not None))
        if server.number_in_server is not None:
            samples.add_metric([server.identity], server.number_in_server)
        if server.invalid_in_server is not None:
            invalid.add_metric([server.identity], server.invalid_in_server)
    yield from (unavailable, samples, invalid)


def batch_metrics() -> Iterator[Metric]:
    """Batches by status, and their remaining objects."""
    batches = GaugeMetricFamily("fnloader_batches", "Batches that are not archived, by status.", labels=["status"])
    current = Batch.objects.filter(archived_at=None).order_by()
    by_status = dict(current.values_list("status").annotate(n=Count("*")))
    for status in BatchStatus.values:
        batches.add_metric([status], by_status.get(status, 0))
    remaining = GaugeMetricFamily(
        "fnloader_batch_remaining", "Remaining objects of a batch in ingest.", labels=["batch"]
    )
    last = IngestCheck.objects.filter(batch=OuterRef("pk")).order_by("-finished_at", "-pk").values("remaining")[:1]
    in_ingest = current.filter(status=BatchStatus.UPLOADED).annotate(n=Subquery(last)).order_by("-pk")
    for bid, number in in_ingest.values_list("bid", "n")[:MAX_BATCHES]:
        if number is not None:
            remaining.add_metric([bid], number)
    yield from (batches, remaining)


def job_metrics() -> Iterator[Metric]:
    """The queue, jobs and alarms."""
    from django_q.brokers import get_broker

    depth = GaugeMetricFamily("fnloader_queue_depth", "Background jobs waiting for a worker.")
    with suppress(OSError, redis.RedisError):  # /readyz reports an unavailable broker
        depth.add_metric([], get_broker().queue_size())
    runs = CounterMetricFamily("fnloader_jobs", "Background jobs that ended, by result.", labels=["job", "ended"])
    last = GaugeMetricFamily(
        "fnloader_job_last_success_seconds_ago", "Seconds since the last success of a job.", labels=["job"]
    )
    now = timezone.now()
    for row in JobRun.objects.all():
        runs.add_metric([row.name, "well"], row.runs)
        runs.add_metric([row.name, "failed"], row.failures)
        if row.finished_at:
            last.add_metric([row.name], _age(row.finished_at, now))
    alarms = GaugeMetricFamily("fnloader_alarms", "Alarms that are up, by kind.", labels=["kind"])
    for kind, number in Alarm.objects.filter(recovered_at=None).values_list("kind").annotate(n=Count("*")):
        alarms.add_metric([kind], number)
    yield from (depth, runs, last, alarms)


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
