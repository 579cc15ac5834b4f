"""Listings that are not in byte order (S3 Express, Storj, SeaweedFS with `a/` and `a-b`): sorted on disk, in flat memory.

An ordered listing passes through, a page at a time. If a name shows that a store has another order, the whole listing is read
once more into a temporary database, which refuses a name that is listed twice, and sorts. What was already yielded, in order,
is not repeated: its names were noted as 8 bytes each.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime

from objectstores.base import NewerThan, StoredObject, StoreError
from objectstores.listing import NotInByteOrder, names_of

CHUNK_SIZE = 1000
TABLES = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;
    CREATE TABLE yielded (hash INTEGER PRIMARY KEY);
    CREATE TABLE seen (hash INTEGER PRIMARY KEY);
    CREATE TABLE listed (name BLOB, size, etag, md5, created, archived);
"""
"""A hash of a name has 64 bits: among a million names two are the same once in 40 million listings."""


class ListingSorter:
    """Yields a listing in byte order. `whole` lists it from the start, in any order; `where` names the store in errors."""

    def __init__(self, where: str, whole: Callable[[], Iterator[list[StoredObject]]]) -> None:
        self._where = where
        self._whole = whole
        self._yielded = array("q")

    def objects(
        self, ordered: Iterator[list[StoredObject]], on_page: Callable[[], None] = lambda: None
    ) -> Iterator[list[StoredObject]]:
        """The pages of `ordered`, and if it raises NotInByteOrder the other objects, sorted. `on_page` is called while
        nothing is yielded."""
        try:
            for page in ordered:
                self._yielded.extend([hash(entry.name) for entry in page])
                yield page
        except NotInByteOrder:
            yield from self._sorted(on_page)

    def names(self, ordered: Iterator[list[str]], newer: NewerThan | None = None) -> Iterator[list[str]]:
        """The same for names; with `newer`, of objects that `ordered` did not yield, those that are newer are reported."""
        try:
            for page in ordered:
                self._yielded.extend(map(hash, page))
                yield page
        except NotInByteOrder:
            for entries in self._sorted(lambda: None):
                yield list(names_of(entries, newer))

    def _sorted(self, on_page: Callable[[], None]) -> Iterator[list[StoredObject]]:
        # Without a name, SQLite makes a file that is deleted when it is closed.
        try:
            with closing(sqlite3.connect("", isolation_level=None)) as database:
                database.executescript(TABLES)
                database.executemany("INSERT OR IGNORE INTO yielded VALUES (?)", ((value,) for value in self._yielded))
                self._yielded = array("q")
                for page in self._whole():
                    on_page()
                    self._add(database, page)
                rows = database.execute("SELECT name, size, etag, md5, created, archived FROM listed ORDER BY name")
                while chunk := rows.fetchmany(CHUNK_SIZE):
                    on_page()
                    yield [
                        StoredObject(
                            name.decode(),
                            size,
                            etag,
                            md5,
                            created and datetime.fromisoformat(created),
                            bool(archived),
                        )
                        for name, size, etag, md5, created, archived in chunk
                    ]
        except sqlite3.Error as error:
            raise StoreError(f"{self._where}: its listing can't be sorted on disk: {error}. Check TMPDIR.") from error

    def _add(self, database: sqlite3.Connection, page: Sequence[StoredObject]) -> None:
        hashes = [(hash(entry.name),) for entry in page]
        try:
            database.executemany("INSERT INTO seen VALUES (?)", hashes)
        except sqlite3.IntegrityError:
            raise StoreError(
                f"{self._where} lists a name twice, after {page[0].name!r}: the listing may be incomplete"
            ) from None
        known = {
            row[0]
            for row in database.execute(
                f"SELECT hash FROM yielded WHERE hash IN ({', '.join('?' * len(hashes))})",  # noqa: S608
                [value for (value,) in hashes],
            )
        }
        # Names as bytes: a text with a NUL would end there.
        new = (
            (name.encode(), size, etag, md5, created and created.isoformat(), archived)
            for name, size, etag, md5, created, archived in page
            if hash(name) not in known
        )
        database.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?)", new)
