"""Ingests in simulated time: when each object of a batch leaves the bucket (for `bench/verdicts.py`).

As the Lambda of the fast import is known to behave: so many invocations at a time, several objects an event, one after the
other; a failed event is invoked again after about one minute and once more after about two; throttled ones go back to
the queue and come again after 1 s, 2 s, 4 s … 5 min (AWS Lambda Developer Guide, asynchronous invocation). What the
service behind it does, stalls and failures, is assumed, and worse than a usual day.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from random import Random
from typing import NamedTuple

RETRIES = (60.0, 120.0)
"""Seconds after which a failed event is invoked again."""
LONGEST_BACKOFF = 300.0
"""Seconds between two tries of a throttled event, at most."""

Window = tuple[float, float]


@dataclass(frozen=True)
class Drain:
    """What became of a batch's objects; times are seconds since its upload ended."""

    number: int
    gone: list[float]
    """When those that are ingested leave the bucket, ascending; the others stay."""

    def remaining(self, at: float) -> int:
        """Objects in the bucket at this time."""
        return self.number - bisect_right(self.gone, at)

    @property
    def end(self) -> float:
        """When the last one that leaves has left."""
        return self.gone[-1] if self.gone else 0.0


class Event(NamedTuple):
    """Some objects that one invocation gets."""

    ready: float
    order: int
    objects: tuple[int, ...]
    tries: int = 0
    throttled: int = 0


class Ingest:
    """One ingest; all that is by chance comes from `chance`."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.number = round(_spread(chance, 20, 5000))
        self._concurrency = round(_spread(chance, 1, 50))
        self._seconds = _spread(chance, 0.2, 3)
        """That an object takes, in the middle."""
        event_size = chance.choice((1, 1, 5, 10, 25))
        # Some days are good: then nothing fails but what can't be ingested at all.
        bad_day = chance.random() < 0.7
        self._transient = _spread(chance, 0.0005, 0.05) if bad_day else 0.0
        self._crash = _spread(chance, 0.001, 0.05) if bad_day else 0.0
        hopeless = _spread(chance, 0.0005, 0.03)
        self._hopeless = {one for one in range(self.number) if chance.random() < hopeless}
        span = self.number * self._seconds / self._concurrency + 600
        self._stalls = self._windows(span, 0.5, 5, 180)
        self._throttles = self._windows(span, 0.3, 10, 600)
        upload = self.number / _spread(chance, 100, 3000)
        self._queue = [
            Event(-upload * (1 - first / self.number), first, tuple(range(first, min(first + event_size, self.number))))
            for first in range(0, self.number, event_size)
        ]
        self._gone: list[float] = []

    def drain(self) -> Drain:
        """Runs it to its end."""
        slots = [-math.inf] * self._concurrency
        heapify(self._queue)
        while self._queue:
            event = heappop(self._queue)
            start = max(event.ready, slots[0])
            if _inside(self._throttles, start):
                backoff = min(2.0**event.throttled, LONGEST_BACKOFF) * self._chance.uniform(0.8, 1)
                heappush(self._queue, event._replace(ready=start + backoff, throttled=event.throttled + 1))
                continue
            heappop(slots)
            heappush(slots, self._run(event, start))
        return Drain(self.number, sorted(self._gone))

    def _run(self, event: Event, start: float) -> float:
        """One invocation; returns when it ends. What it could not ingest may come again with the event."""
        chance, now = self._chance, start
        crashes_at = chance.randrange(len(event.objects)) if chance.random() < self._crash else len(event.objects)
        left = []
        for place, one in enumerate(event.objects):
            if place >= crashes_at:
                left.append(one)
                continue
            now = _stalled(self._stalls, now, self._seconds * chance.lognormvariate(0, 0.5))
            if one in self._hopeless or chance.random() < self._transient:
                left.append(one)
            else:
                self._gone.append(now)
        if left and event.tries < len(RETRIES):
            later = now + RETRIES[event.tries] * chance.uniform(1, 1.2)
            heappush(self._queue, Event(later, event.order, tuple(left), event.tries + 1))
        return now

    def _windows(self, span: float, often: float, shortest: float, longest: float) -> list[Window]:
        """Up to three stretches of time, in order, in which something does not work."""
        found: list[Window] = []
        while len(found) < 3 and self._chance.random() < often:
            begin = self._chance.uniform(0, span)
            found.append((begin, begin + _spread(self._chance, shortest, longest)))
        return sorted(found)


def _spread(chance: Random, least: float, most: float) -> float:
    """A number between the two, as likely to be small as large by orders of magnitude."""
    return math.exp(chance.uniform(math.log(least), math.log(most)))


def _inside(windows: list[Window], at: float) -> bool:
    return any(begin <= at < end for begin, end in windows)


def _stalled(windows: list[Window], start: float, seconds: float) -> float:
    """When work of so many seconds ends that stands still in the windows."""
    end = start + seconds
    for begin, over in windows:
        if start < over and end > begin:
            end += over - max(start, begin)
    return end
