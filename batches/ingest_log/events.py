"""The events of a log on disk, once each and in order of time: there may be millions, and pages may be repeated and mixed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import NamedTuple, Self

_CREATE_TABLES = """create table pages (number integer primary key, first integer, last integer, tie text);
create table events (page integer, number integer primary key, timestamp integer, stream text, message text, id text unique)"""
# Events of one moment stay in the order in which they came, and pages that begin and end at the same moment, too; but if
# pages came in no order, ids tell, which ascend.
_IN_ORDER = """select stream, timestamp, message from events join pages on events.page = pages.number
order by timestamp, first, last, {tie} events.number"""


class LogEvent(NamedTuple):
    """One event of the log."""

    stream: str
    timestamp: int
    """Milliseconds since the epoch."""
    message: str
    id: str | None = None
    """Unique in the log; None: the service does not say."""


class EventStore(AbstractContextManager["EventStore"]):
    """A temporary database without a name: it disappears with the process, however that ends."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("pragma synchronous = off")
        self._database.executescript(_CREATE_TABLES)
        self._pages = 0
        self._latest = 0
        self._in_disorder = False

    def add(self, page: Sequence[LogEvent]) -> int:
        """Adds a page of events; returns how many of them are new."""
        if not page:
            return 0
        self._pages += 1
        times = [event.timestamp for event in page]
        self._in_disorder = self._in_disorder or min(times) < self._latest
        self._latest = max(self._latest, *times)
        self._database.execute("begin")
        values = (self._pages, min(times), max(times), min(event.id or "" for event in page))
        self._database.execute("insert into pages values (?, ?, ?, ?)", values)
        new = self._database.executemany(
            "insert or ignore into events (page, timestamp, stream, message, id) values (?, ?, ?, ?, ?)",
            [(self._pages, event.timestamp, event.stream, event.message, event.id) for event in page],
        ).rowcount
        self._database.execute("commit")
        return new

    def in_order(self) -> Iterator[LogEvent]:
        """All events by time."""
        for row in self._database.execute(_IN_ORDER.format(tie="tie," if self._in_disorder else "")):
            yield LogEvent(*row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._database.close()
