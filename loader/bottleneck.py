"""What keeps a server's samples: the server, the store, or the loader itself; from the newest attempts of the last hour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

from loader.models import Feed, LoadAttempt

HOUR = timedelta(hours=1)
SAMPLE_SIZE = 2000
"""Attempts that are read, of all feeds of a server."""
IDLE_SECONDS = 30.0
"""A longer pause between two inserts means that nothing was due."""
BUSY = 0.9
"""A server that is busy for that share of the time has nothing to spare."""
LOCKED = 0.1
"""The same for the share of inserts that met another one's lock."""


TIMES = ("bucket_read_start_time", "bucket_read_end_time", "insert_start_time", "insert_end_time", "lock_waits")
"""Columns of an attempt that make its `Times`."""


class Times(NamedTuple):
    """The times of one attempt."""

    read_start: datetime
    read_end: datetime
    insert_start: datetime
    insert_end: datetime
    lock_waits: int


class Way(NamedTuple):
    """The parts of one sample's way, in seconds.

    A sample is fetched and parsed while the one before is inserted. So `parse` is what was still to do once its file was
    there and the server free; `wait` is the time that it lay there while the server worked, its own parsing included.
    """

    download: float
    parse: float
    wait: float
    insert: float
    fetched_late: float
    """How long the server was free and had to wait for the download."""
    idle: float
    """How long the server was free because nothing was due."""


@dataclass(frozen=True)
class Flow:
    """The newest inserts of a server."""

    since: datetime
    until: datetime
    ways: list[Way]
    locked: float
    """Share of the inserts that met another one's lock (409)."""

    @property
    def busy(self) -> float:
        """Share of the time, without what nothing was due, that the server worked."""
        worked = sum(way.insert for way in self.ways)
        free = sum(way.fetched_late + way.parse for way in self.ways)
        return worked / (worked + free) if worked else 0.0

    @property
    def span(self) -> str:
        """`last hour`, `last 12 minutes`; with what it leaves out."""
        seconds = (self.until - self.since).total_seconds()
        minutes = max(1, round(seconds / 60))
        text = "last hour" if minutes >= 55 else f"last {minutes} minutes" if minutes > 1 else "last minute"
        idle = sum(way.idle for way in self.ways)
        return f"{text}, without pauses in which nothing was due" if idle > 0.05 * seconds else text

    def sentence(self, *, waiting: int) -> str:
        """What the bottleneck is."""
        busy = f"busy {min(99 if self.busy < 1 else 100, round(self.busy * 100))} % of the {self.span}"
        insert, download, parse = (
            median(getattr(way, part) for way in self.ways) for part in ("insert", "download", "parse")
        )
        if self.locked >= LOCKED:
            return (
                f"The server's lock is the bottleneck: {self.locked:.0%} of the inserts found it held by another one. "
                "Does somebody else insert into this server?"
            )
        if self.busy >= BUSY:
            return f"The server is the bottleneck: {busy}; an insert takes {milliseconds(insert)} on the median."
        if not waiting:
            return f"Nothing is held up: no sample waits. The server was {busy}."
        if sum(way.fetched_late for way in self.ways) >= sum(way.parse for way in self.ways):
            return (
                f"The store is the bottleneck: a download takes {milliseconds(download)} on the median; "
                f"the server is {busy}, an insert takes {milliseconds(insert)}."
            )
        return (
            f"The loader is the bottleneck: {milliseconds(parse)} on the median from the download to the insert; "
            f"the server is {busy}. Is its machine busy, or its database slow?"
        )


def recent_flow(feeds: Sequence[Feed], now: datetime, db: str = "default") -> Flow | None:
    """The newest inserts into the server of these feeds within the last hour; a query for each feed, by its index."""
    limit, rows = max(1, SAMPLE_SIZE // max(1, len(feeds))), []
    since = now - HOUR
    for feed in feeds:
        attempts = LoadAttempt.objects.using(db).filter(feed=feed, bucket_read_start_time__gte=since)
        some = complete_times(attempts.order_by("-bucket_read_start_time").values_list(*TIMES)[:limit])
        if len(some) == limit:
            # Of what is older, only the other feeds' inserts would be seen.
            since = max(since, min(times.insert_start for times in some))
        rows += some
    return flow_of([times for times in rows if times.insert_start >= since], now)


def complete_times(rows: Iterable[tuple[Any, ...]]) -> list[Times]:
    """Those with all times."""
    return [Times._make((*row[:4], row[4] or 0)) for row in rows if all(row[:4])]


def flow_of(rows: Sequence[Times], until: datetime) -> Flow | None:
    """The flow of these inserts of one server."""
    if not rows:
        return None
    ordered = sorted(rows, key=lambda times: times.insert_start)
    locked = sum(1 for times in ordered if times.lock_waits) / len(ordered)
    return Flow(ordered[0].insert_start, until, ways(ordered), locked)


def ways(ordered: Sequence[Times]) -> list[Way]:
    """The parts of each sample's way, in the order of their inserts."""
    found = []
    before: datetime | None = None
    for times in ordered:
        free_at = before or times.read_end
        ready = times.read_end
        gap = max(0.0, (times.insert_start - free_at).total_seconds())
        late = min(gap, max(0.0, (ready - free_at).total_seconds()))
        idle = gap > IDLE_SECONDS
        parse = max(0.0, (times.insert_start - max(ready, free_at)).total_seconds())
        wait = max(0.0, (min(free_at, times.insert_start) - ready).total_seconds())
        download, insert = (times.read_end - times.read_start), (times.insert_end - times.insert_start)
        found.append(
            Way(
                max(0.0, download.total_seconds()),
                min(parse, IDLE_SECONDS),
                wait,
                max(0.0, insert.total_seconds()),
                0.0 if idle else late,
                gap if idle else 0.0,
            )
        )
        before = max(times.insert_end, before or times.insert_end)
    return found


def milliseconds(seconds: float) -> str:
    """`31 ms`, `2.1 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
