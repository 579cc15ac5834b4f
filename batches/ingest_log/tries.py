"""Sums the tries of a log up by object, on disk: there may be millions, and memory must stay flat."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import NamedTuple, Self

from batches.ingest_log.lambda_log import IngestTry
from batches.keys import digest

_TABLE = """create table tries (digest text primary key, number integer not null, at integer not null, message text,
said_at integer, said text, candidate text) without rowid"""
_ADD = """insert into tries values (?, 1, ?, ?, ?, ?, ?) on conflict (digest) do update set
number = number + 1,
message = case when excluded.at >= at then excluded.message else message end,
at = max(at, excluded.at),
said = case when excluded.said is not null and excluded.said_at >= coalesce(said_at, -1) then excluded.said else said end,
said_at = case when excluded.said is not null then max(excluded.said_at, coalesce(said_at, -1)) else said_at end,
candidate = coalesce(excluded.candidate, candidate)"""


class ObjectTries(NamedTuple):
    """What the log says of one object."""

    digest: str
    """Of its key, as the records have it."""
    tries: int
    message: str | None
    """Of the last try, if that one failed with a message: a fact."""
    candidate: str | None
    """What may be why: a message of an earlier try, or one that can't be put on one object."""


class TryStore(AbstractContextManager["TryStore"]):
    """A temporary database that has no name: it is gone with the process, however that ends."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("pragma synchronous = off")
        self._database.execute(_TABLE)

    def add(self, tries: Iterable[IngestTry]) -> None:
        """Takes tries, in any order; those that are nothing but noise count for nothing."""
        rows = [
            (digest(one.key), one.at, one.message, one.message and one.at, one.message, one.candidate)
            for one in tries
            if not one.noise
        ]
        self._database.execute("begin")
        self._database.executemany(_ADD, rows)
        self._database.execute("commit")

    def groups(self, size: int) -> Iterator[list[ObjectTries]]:
        """All objects, in lists of `size`."""
        found = self._database.execute("select digest, number, message, coalesce(said, candidate) from tries")
        while some := found.fetchmany(size):
            yield [ObjectTries(name, number, said, None if said else perhaps) for name, number, said, perhaps in some]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._database.close()
