"""What a comparison of long lists needs to stay in flat memory: pages of them, and a database that is deleted afterwards."""

from __future__ import annotations

import errno
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def in_pages(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items as lists of up to `size`."""
    iterator = iter(items)
    while page := list(islice(iterator, size)):
        yield page


@contextmanager
def temporary_database(script: str) -> Iterator[sqlite3.Connection]:
    """A SQLite file with these tables, without transactions of its own; it is deleted at the end.

    Raises OSError if it can't be written.
    """
    with tempfile.TemporaryDirectory(prefix="fnloader-") as folder:
        path = Path(folder) / "temporary.sqlite3"
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            try:
                database.executescript(script)
                yield database
            except sqlite3.OperationalError as error:
                raise OSError(errno.EIO, str(error), str(path)) from error
