"""A lock for writes: SQLite takes one writer at a time, and lets the others sleep up to 100 ms between two tries.

Threads of one process (`fnload --all`) queue here instead, and continue at once. Other databases need no lock.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction

_locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)


@contextmanager
def write_lock(db: str) -> Iterator[None]:
    """For one statement in autocommit mode."""
    if connections[db].vendor == "sqlite":
        with _locks[db]:
            yield
    else:
        yield


@contextmanager
def locked_transaction(db: str) -> Iterator[None]:
    """One transaction under the lock."""
    with write_lock(db), transaction.atomic(using=db):
        yield
