"""What Prometheus is told: nothing here reads a table that grows, but for what waits (docs/monitoring.md)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
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

MOST_BATCHES = 200
SMALL_STATES = (ObjectState.WAITING, ObjectState.LOADING, ObjectState.REJECTED)
"""What is loaded is counted by the tallies: counting it would read the whole ledger."""


def exposition() -> bytes:
    """The text that Prometheus reads. Rolls the tallies forward first."""
    counters.update_counters()
    registry = CollectorRegistry()
    registry.register(_Site())
    return generate_latest(registry)


class _Site(Collector):
    def describe(self) -> list[Metric]:
        """Nothing: else it would be collected once more."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        names = dict(Feed.objects.values_list("pk", "name"))
        yield from _tallies(names)
        yield from _feeds()
        yield from _servers()
        yield from _batches()
        yield from _jobs()


def _tallies(names: dict[int, str]) -> Iterator[Metric]:
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
    for measure, said in (
        (counters.INSERT, "How long inserts took."),
        (counters.READ, "How long reading a file took."),
    ):
        histogram = HistogramMetricFamily(f"fnloader_{measure}_seconds", said, labels=["feed"])
        for name, buckets in sorted(times[measure].items()):
            histogram.add_metric([name], *_histogram(buckets))
        yield histogram


def _histogram(buckets: dict[int, tuple[int, float]]) -> tuple[list[tuple[str, float]], float]:
    cumulative, below = [], 0
    for index, bound in enumerate([*map(str, counters.BOUNDS), "+Inf"]):
        below += buckets.get(index, (0, 0.0))[0]
        cumulative.append((bound, float(below)))
    return cumulative, sum(seconds for _, seconds in buckets.values())


def _feeds() -> Iterator[Metric]:
    now = timezone.now()
    files = GaugeMetricFamily("fnloader_files", "Files that are not loaded, by state.", labels=["feed", "state"])
    oldest = GaugeMetricFamily(
        "fnloader_oldest_waiting_seconds", "Since when the oldest waiting file is known.", labels=["feed"]
    )
    lag = GaugeMetricFamily("fnloader_checked_seconds_ago", "When the bucket was last listed.", labels=["feed"])
    paused = GaugeMetricFamily("fnloader_feed_paused", "1: nothing is loaded from it.", labels=["feed"])
    by_state = {state.value: BucketObject.objects.filter(state=state) for state in SMALL_STATES}
    rows: QuerySet[Any] = Feed.objects.only("name", "checked_at", "paused_at").annotate(
        **{state: number_of(objects) for state, objects in by_state.items()},
        oldest=of_feed(by_state[ObjectState.WAITING], Min("first_seen")),
    )
    for row in rows:
        for state in SMALL_STATES:
            files.add_metric([row.name, state], getattr(row, state))
        oldest.add_metric([row.name], _age(row.oldest, now))
        if row.checked_at:
            lag.add_metric([row.name], _age(row.checked_at, now))
        paused.add_metric([row.name], float(row.paused_at is not None))
    yield from (files, oldest, lag, paused)


def _servers() -> Iterator[Metric]:
    away = GaugeMetricFamily("fnloader_server_away", "1: its circuit is open.", labels=["server"])
    held = GaugeMetricFamily("fnloader_server_samples", "Samples in it when last counted.", labels=["server"])
    for server in Server.objects.all():
        away.add_metric([server.identity], float(server.circuit_open_since is not None))
        if server.number_in_server is not None:
            held.add_metric([server.identity], server.number_in_server)
    yield from (away, held)


def _batches() -> Iterator[Metric]:
    numbers = GaugeMetricFamily("fnloader_batches", "Batches that are not archived, by status.", labels=["status"])
    current = Batch.objects.filter(archived_at=None).order_by()
    counted = dict(current.values_list("status").annotate(n=Count("*")))
    for status in BatchStatus.values:
        numbers.add_metric([status], counted.get(status, 0))
    left = GaugeMetricFamily("fnloader_batch_remaining", "Objects left of a batch in ingest.", labels=["batch"])
    last = IngestCheck.objects.filter(batch=OuterRef("pk")).order_by("-finished_at", "-pk").values("remaining")[:1]
    going = current.filter(status=BatchStatus.UPLOADED).annotate(left=Subquery(last)).order_by("-pk")
    for bid, remaining in going.values_list("bid", "left")[:MOST_BATCHES]:
        if remaining is not None:
            left.add_metric([bid], remaining)
    yield from (numbers, left)


def _jobs() -> Iterator[Metric]:
    from django_q.brokers import get_broker

    depth = GaugeMetricFamily("fnloader_queue_depth", "Background jobs that wait for a worker.")
    with suppress(OSError, redis.RedisError):  # a broker that is away is for /readyz to tell
        depth.add_metric([], get_broker().queue_size())
    runs = CounterMetricFamily("fnloader_jobs", "Background jobs that ended, by how.", labels=["job", "ended"])
    last = GaugeMetricFamily("fnloader_job_last_success_seconds_ago", "When a job last ended well.", labels=["job"])
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
