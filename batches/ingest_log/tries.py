"""Sums up the tries of a log by object, on disk: there may be millions, and memory must stay flat."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import NamedTuple, Self

from batches.ingest_log.lambda_log import IngestTry
from batches.keys import digest

_CREATE_TABLE = """create table tries (digest text primary key, number integer not null, at integer not null, message text,
detail text, said_at integer, said text, candidate text) without rowid"""
_ADD_TRY = """insert into tries values (?, 1, ?, ?, ?, ?, ?, ?) on conflict (digest) do update set
number = number + 1,
message = case when excluded.at >= at then excluded.message else message end,
detail = case when excluded.at >= at then excluded.detail else detail end,
at = max(at, excluded.at),
said = case when excluded.said is not null and excluded.said_at >= coalesce(said_at, -1) then excluded.said else said end,
said_at = case when excluded.said is not null then max(excluded.said_at, coalesce(said_at, -1)) else said_at end,
candidate = coalesce(excluded.candidate, candidate)"""


class ObjectTries(NamedTuple):
    """What the log says about one object."""

    digest: str
    """Digest of its key, as in the records."""
    tries: int
    message: str | None
    """Message of the last try, if that failed with one."""
    detail: str | None
    """Its trace."""
    candidate: str | None
    """A possible reason: a message of an earlier try, or one that may belong to several objects."""


class TryStore(AbstractContextManager["TryStore"]):
    """A temporary database without a name: it disappears with the process, however that ends."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("pragma synchronous = off")
        self._database.execute(_CREATE_TABLE)

    def add(self, tries: Iterable[IngestTry]) -> None:
        """Adds tries, in any order; those with nothing but NoSuchKey are ignored."""
        rows = [
            (digest(one.key), one.at, one.message, one.detail, one.message and one.at, one.message, one.candidate)
            for one in tries
            if not one.only_no_such_key
        ]
        self._database.execute("begin")
        self._database.executemany(_ADD_TRY, rows)
        self._database.execute("commit")

    def groups(self, size: int) -> Iterator[list[ObjectTries]]:
        """All objects, in lists of `size`."""
        rows = self._database.execute("select digest, number, message, detail, coalesce(said, candidate) from tries")
        while group := rows.fetchmany(size):
            yield [
                ObjectTries(key_digest, tries, message, detail, None if message else candidate)
                for key_digest, tries, message, detail, candidate in group
            ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._database.close()
