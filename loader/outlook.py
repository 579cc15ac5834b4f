"""When what waits will be loaded: a range for each feed, from the pace of its newest attempts.

Cheap however many attempts there are: the times of some of the newest are read from the index on feed and time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from core.expected_end import expected_end
from core.formatting import format_time, pluralize
from loader.models import LoadAttempt
from loader.querysets import HOUR, feeds_with_state

WINDOWS = (100, 500)
"""A rate is that of this number of attempts, the newest ones of the last hour; of all of that hour, if there are fewer."""
IDLE_AFTER = timedelta(minutes=10)
"""Without an attempt for that long there is no forecast."""
FeedRow = Any
"""A feed with the annotations of `feeds_with_pace`."""


@dataclass(frozen=True)
class Outlook:
    """What waits in a feed, and when it will be loaded."""

    waiting: int
    rate: float | None = None
    """Samples per second of late."""
    earliest: datetime | None = None
    latest: datetime | None = None
    why_none: str = ""
    """Why there is no forecast."""
    shared: int = 0
    """Other feeds of the server for which samples wait, too."""

    @property
    def pace(self) -> str:
        """`12 samples per second`, or per minute or hour if it is slow."""
        if self.rate is None:
            return ""
        for seconds, unit in ((1, "second"), (60, "minute"), (3600, "hour")):
            if self.rate * seconds >= 1 or unit == "hour":
                return f"{self.rate * seconds:.3g} samples per {unit}"
        return ""

    @property
    def sharp(self) -> bool:
        """Both ends are in the same minute."""
        return format_time(self.earliest)[:16] == format_time(self.latest)[:16]

    @property
    def text(self) -> str:
        """In a sentence, with times in TIME_ZONE."""
        if not self.waiting:
            return "Nothing waits."
        waiting = f"{pluralize(self.waiting, 'sample waits', 'samples wait')}"
        if self.earliest is None:
            return f"{waiting}. No forecast: {self.why_none}."
        others = f", as {pluralize(self.shared, 'other feed')} of its server {'has' if self.shared == 1 else 'have'} turns, too"
        return f"{waiting}: {self.pace}, done {span_text(self.earliest, self.latest)}{others if self.shared else ''}."


def span_text(earliest: datetime, latest: datetime | None) -> str:
    """`at about 2026-01-31 18:25`, `between 2026-01-31 18:25 and 19:10`, in TIME_ZONE."""
    first, last = format_time(earliest)[:16], format_time(latest)[:16] or "later"
    # The same day is not repeated.
    return f"at about {first}" if first == last else f"between {first} and {last.removeprefix(first[:11])}"


def feeds_with_pace() -> QuerySet[Any]:
    """`feeds_with_state`, also with the times of its newest attempts within the last hour."""
    attempts = LoadAttempt.objects.filter(feed=OuterRef("pk"), bucket_read_start_time__gte=Now() - HOUR)
    times = attempts.order_by("-bucket_read_start_time").values("bucket_read_start_time")
    earlier = attempts.order_by("bucket_read_start_time").values("bucket_read_start_time")
    counted = {f"newest_{number}": Subquery(times[number : number + 1]) for number in WINDOWS}
    return feeds_with_state().annotate(newest_0=Subquery(times[:1]), oldest_of_hour=Subquery(earlier[:1]), **counted)


def outlooks(feeds: Iterable[FeedRow], now: datetime | None = None) -> dict[int, Outlook]:
    """By key of the feed; of each server all feeds should be among these."""
    now = now or timezone.now()
    by_server: dict[int, list[FeedRow]] = defaultdict(list)
    for feed in feeds:
        by_server[feed.server_id].append(feed)
    return {pk: outlook for some in by_server.values() for pk, outlook in _of_server(some, now)}


def _of_server(feeds: list[FeedRow], now: datetime) -> Iterable[tuple[int, Outlook]]:
    rates = {feed.pk: _rates(feed, now) for feed in feeds if not feed.paused_at}
    loading = [(max(some), min(some)) for some in rates.values() if some]
    # Feeds take turns: in its turn each has the server's whole pace, over several turns they share it.
    fastest = max((fast for fast, _ in loading), default=0.0)
    slowest = min(sum(slow for _, slow in loading), fastest)
    in_all = sum(feed.waiting for feed in feeds if not feed.paused_at)
    for feed in feeds:
        shared = sum(1 for other in feeds if other.pk != feed.pk and other.waiting and not other.paused_at)
        why = ""
        if feed.paused_at:
            why = "the feed is paused"
        elif feed.server.circuit_open_since:
            why = "the server is unavailable"
        elif not loading:
            why = f"nothing was loaded in the last {IDLE_AFTER // timedelta(minutes=1)} minutes"
        if why or not feed.waiting:
            yield feed.pk, Outlook(feed.waiting, why_none=why)
            continue
        earliest, _ = expected_end(now, feed.waiting, [fastest])
        _, latest = expected_end(now, in_all, [slowest])
        yield feed.pk, Outlook(feed.waiting, fastest, earliest, latest, shared=shared)


def _rates(feed: FeedRow, now: datetime) -> list[float]:
    """Attempts per second over each window; none if nothing is being loaded."""
    newest = feed.newest_0
    if newest is None or now - newest > IDLE_AFTER:
        return []
    found = []
    for number in WINDOWS:
        since = getattr(feed, f"newest_{number}")
        if since and newest > since:
            found.append(number / (newest - since).total_seconds())
    if not found and feed.rate > 1 and newest > feed.oldest_of_hour:
        found = [(feed.rate - 1) / (newest - feed.oldest_of_hour).total_seconds()]
    return found
