"""Feeds of one server take turns: a loader that waits for the lease says so, and its owner yields after a while (promise 6)."""

from __future__ import annotations

from collections.abc import Callable

from core.processes import monotonic
from loader.coordination.lease import Lease
from loader.models import Feed

TURN_SAMPLES = 500
TURN_SECONDS = 60.0
"""A turn is over after this many samples or seconds if another loader waits; otherwise it continues."""
YIELD_SECONDS = 1.0
"""Seconds for which the lease stays free: a loader that waits for it asks twice a second."""
TURN_WAIT = TURN_SECONDS + 30.0
"""Seconds to wait for the next turn."""
CHECK_SECONDS = 2.0


class StopRequested(Exception):
    """The loader is to stop."""


class PassEnded(Exception):
    """The pass ends early, and nothing is wrong."""


class FeedPaused(PassEnded):
    """The feed was paused while it was loaded."""


class TryLater(PassEnded):
    """There is something to wait for, and a job does not wait: a later job continues."""


class TurnTaker:
    """One turn of the owner of a lease.

    `others_wait` tells whether another feed waits in this process, `slice_over` whether the time slice of a job is over after
    a number of samples.
    """

    def __init__(
        self, feed: Feed, lease: Lease, others_wait: Callable[[], bool], slice_over: Callable[[int], bool] | None
    ) -> None:
        self._feed, self._lease, self._others_wait, self._slice_over = feed, lease, others_wait, slice_over
        self._until = monotonic() + TURN_SECONDS
        self._samples = 0
        self._next_pause_check = self._next_wait_check = 0.0
        self.over = False
        """Another loader's turn has come, or the time slice is over. It stays true."""

    def next_sample(self) -> None:
        """Called before each insert; asks the database once or twice every two seconds. Raises FeedPaused."""
        self._samples += 1
        now = monotonic()
        if self.over:
            return
        # A feed that is paused already is loaded with --even-if-paused.
        if now >= self._next_pause_check and not self._feed.paused_at:
            self._next_pause_check = now + CHECK_SECONDS
            feeds = Feed.objects.using(self._lease.db)
            if feeds.filter(pk=self._feed.pk, paused_at__isnull=False).exists():
                raise FeedPaused(f"The feed '{self._feed.name}' was paused; the insert in flight was finished.")
        if now >= self._next_wait_check and (self._samples > TURN_SAMPLES or now > self._until):
            self._next_wait_check = now + CHECK_SECONDS
            self.over = self._others_wait() or self._lease.is_wanted()
        self.over = self.over or bool(self._slice_over and self._slice_over(self._samples))
