"""Whose turn it is to write: SQLite takes one writer at a time, and makes the others sleep up to 100 ms between two tries.

Threads of one process (`fnload --all`) queue here instead, and go on at once. Other databases need no queue.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction

_turns: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)


@contextmanager
def write_lock(db: str) -> Iterator[None]:
    """For one statement that commits itself."""
    if connections[db].vendor == "sqlite":
        with _turns[db]:
            yield
    else:
        yield


@contextmanager
def locked_transaction(db: str) -> Iterator[None]:
    """One transaction, in its turn."""
    with write_lock(db), transaction.atomic(using=db):
        yield
