"""Which files are being read: a file that ends its loader's process (by its size, by a fault of a library) is not first again.

Before files are read they are marked, many with one statement, and the mark goes with what is written about them anyway. What
is marked when a pass begins was being read when a loader died. It comes last (ledger/queue.py), each file by itself, while
nothing else happens, with its try spent before: so only the one that ends the process again stays behind, and after some times
it is rejected.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from django.db import DatabaseError, InterfaceError
from django.db.models import F, QuerySet

from loader.choices import ObjectState
from loader.coordination.database_clock import DatabaseClock
from loader.coordination.write_lock import write_lock
from loader.models import BucketObject

ENDED_BY = "the process of its loader ended while it read this file"
MAX_ENDED = 3
"""How often a file may end the process that reads it by itself."""


class ReadMarks:
    """The marks of one pass."""

    def __init__(self, db: str, clock: DatabaseClock) -> None:
        self._db, self._clock = db, clock

    def begin(self, items: Iterable[BucketObject]) -> None:
        """These are read now or soon, in any order."""
        if keys := [item.pk for item in items if not item.read_since]:
            self._update(self._rows(keys), read_since=self._clock.now())

    def begin_alone(self, item: BucketObject) -> None:
        """It is read now, and nothing else: what stays in its row if the process ends."""
        self._update(self._rows([item.pk]), tries=F("tries") + 1, reason=ENDED_BY)

    def end_alone(self, item: BucketObject) -> None:
        """The process lives."""
        self._update(self._rows([item.pk]), tries=item.tries, reason=item.reason)

    def drop(self, items: Iterable[BucketObject]) -> None:
        """They are not read after all. Without a database they stay marked, and come last."""
        if keys := [item.pk for item in items]:
            with suppress(DatabaseError, InterfaceError):
                self._update(self._rows(keys), read_since=None)

    def _rows(self, keys: list[int]) -> QuerySet[BucketObject]:
        return BucketObject.objects.using(self._db).filter(pk__in=keys, state=ObjectState.WAITING)

    def _update(self, rows: QuerySet[BucketObject], **columns: object) -> None:
        with write_lock(self._db):
            rows.update(**columns)


def is_hopeless(item: BucketObject) -> bool:
    """Whether it ended its loader's process too often."""
    return item.reason == ENDED_BY and item.tries >= MAX_ENDED
