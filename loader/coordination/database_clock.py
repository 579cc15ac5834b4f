"""One clock for all hosts: the database's, carried forward by this machine's monotonic one.

A wall clock may jump, and the clocks of two hosts differ; leases and the wait after an unclear insert must not depend on that.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models.functions import Now

from core.processes import monotonic
from loader.models import Server


class DatabaseClock:
    """The time of one database, read once and then computed; `sync` reads it again."""

    def __init__(self, server: Server, db: str) -> None:
        # The time is read from a row of ours: SQL without a table is written differently by each vendor.
        self._row = Server.objects.using(db).filter(pk=server.pk).annotate(now=Now()).values_list("now", flat=True)
        self.sync()

    def sync(self) -> None:
        """Reads the database's clock."""
        before = monotonic()
        self._base: datetime = self._row.get()
        self._at = before

    def now(self) -> datetime:
        """The database's time, aware."""
        return self._base + timedelta(seconds=monotonic() - self._at)
