"""Feeds of one server take turns: whoever waits for its lease says so, and its owner gives way after a while (promise 6)."""

from __future__ import annotations

from collections.abc import Callable

from core.processes import monotonic
from loader.coordination.lease import Lease
from loader.models import Feed

SAMPLES = 500
SECONDS = 60.0
"""A turn is over after so many samples or seconds, if somebody else waits; else it goes on."""
YIELD_SECONDS = 1.0
"""Seconds for which the lease stays free: who waits for it asks twice a second."""
TURN_WAIT = SECONDS + 30.0
"""Seconds to wait for one's own next turn."""
ASK_EVERY = 2.0


def never(_samples: int) -> bool:
    """Nothing is enough: for a loader that is no job."""
    return False


class StopRequested(Exception):
    """Somebody asked us to stop."""


class PassEnded(Exception):
    """The pass ends here, and nobody is to blame for that."""


class FeedPaused(PassEnded):
    """Somebody paused the feed while it was loaded."""


class TryLater(PassEnded):
    """There is something to wait for, and a job does not wait: it ends, and another one goes on later."""


class TurnTaker:
    """One turn of a loader that holds the lease.

    `others` says whether another feed waits in this very process, `enough` whether so many samples are all for now.
    """

    def __init__(self, feed: Feed, lease: Lease, others: Callable[[], bool], enough: Callable[[int], bool]) -> None:
        self._feed, self._lease, self._others, self._enough = feed, lease, others, enough
        self._until = monotonic() + SECONDS
        self._samples = 0
        self._look_at = self._ask_at = 0.0
        self.over = False
        """Somebody else waits, and it is their turn, or it was enough. Once true it stays so."""

    def next_sample(self) -> None:
        """Called before each insert; asks the database a question or two every two seconds. Raises Paused."""
        self._samples += 1
        now = monotonic()
        if self.over:
            return
        if now >= self._look_at:
            self._look_at = now + ASK_EVERY
            self._check_paused()
        if now >= self._ask_at and (self._samples > SAMPLES or now > self._until):
            self._ask_at = now + ASK_EVERY
            self.over = self._others() or self._lease.is_wanted()
        self.over = self.over or self._enough(self._samples)

    def _check_paused(self) -> None:
        if self._feed.paused_at:
            return  # --even-if-paused
        feeds = Feed.objects.using(self._lease.db)
        if feeds.filter(pk=self._feed.pk, paused_at__isnull=False).exists():
            raise FeedPaused(f"The feed '{self._feed.name}' was paused; what was in flight is finished.")
