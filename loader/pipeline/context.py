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

SLICE = 0.2


def _never() -> bool:
    return False


@dataclass
class LoadContext:
    """Made once for each feed that is loaded; passes come and go with it."""

    feed: Feed
    store: Store
    fn4: FindNeighbour4
    db: str = "default"
    stop: Callable[[], bool] = _never
    say: Callable[[str], None] = lambda _text: None
    progress: Callable[[int, int], None] = lambda _done, _due: None
    """Called with how many of how many samples of a pass are done."""
    host: str = field(default_factory=lambda: str(settings.HOST_NAME))
    others: Callable[[], bool] = _never
    """Whether another feed of the server waits in this process."""
    enough: Callable[[int], bool] | None = None
    """For a job: whether the turn is over after so many samples. It never waits, and goes on with a batch left unfinished."""

    def __post_init__(self) -> None:
        self.server = self.feed.server
        self.clock = DatabaseClock(self.server, self.db)
        self.lease = Lease(self.server, self.db, self.host)

    def pause(self, seconds: float, *, beat: bool = True) -> None:
        """Waits in short slices and keeps the lease. Raises StopRequested, and TryLater in a job."""
        if self.enough:
            raise turn_taking.TryLater(f"{self.server} may still be working on an insert; a later job goes on.")
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            self.check_stop()
            if beat:
                self.lease.beat()
            time.sleep(min(SLICE, left))

    def check_stop(self) -> None:
        """Raises StopRequested when it is time to stop."""
        if self.stop():
            raise turn_taking.StopRequested

    def beat(self) -> None:
        """Keeps the lease while something is waited for; raises StopRequested or LeaseLost."""
        self.check_stop()
        self.lease.beat()
