"""What every part of a pass works with: feed, store, server, lease, and how to wait and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.conf import settings

from core.processes import monotonic
from loader.coordination import turn_taking
from loader.coordination.database_clock import DatabaseClock
from loader.coordination.lease import Lease
from loader.fn4.client import FindNeighbour4
from loader.models import Feed
from objectstores.base import Store

POLL_SECONDS = 0.2


def _never() -> bool:
    return False


@dataclass
class LoadContext:
    """One for each feed that is loaded, for all its passes."""

    feed: Feed
    store: Store
    fn4: FindNeighbour4
    db: str = "default"
    stop: Callable[[], bool] = _never
    log: Callable[[str], None] = lambda _text: None
    progress: Callable[[int, int], None] = lambda _done, _due: None
    """Called with the number of samples of a pass that are done, and of all."""
    host: str = field(default_factory=lambda: str(settings.HOST_NAME))
    others_wait: Callable[[], bool] = _never
    """Whether another feed of the server waits in this process."""
    slice_over: Callable[[int], bool] | None = None
    """For a job: whether its time slice is over after this many samples. A job never waits; it continues unfinished batches."""

    reference_length: int | None = None
    """Letters of the server's reference, if it tells (pipeline/server_check.py)."""

    def __post_init__(self) -> None:
        self.server = self.feed.server
        self.clock = DatabaseClock(self.server, self.db)
        self.lease = Lease(self.server, self.db, self.host)

    def pause(self, seconds: float, *, renew: bool = True) -> None:
        """Waits in short steps and renews the lease. Raises StopRequested, and TryLater in a job."""
        if self.slice_over:
            raise turn_taking.TryLater(f"{self.server} may still be working on an insert; a later job continues.")
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            self.check_stop()
            if renew:
                self.lease.heartbeat()
            time.sleep(min(POLL_SECONDS, left))

    def check_stop(self) -> None:
        """Raises StopRequested if the loader is to stop."""
        if self.stop():
            raise turn_taking.StopRequested

    def heartbeat(self) -> None:
        """Renews the lease during a wait. Raises StopRequested or LeaseLost."""
        self.check_stop()
        self.lease.heartbeat()
