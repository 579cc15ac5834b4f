"""Ingests in simulated time: when each object of a batch leaves the bucket (for `bench/verdicts.py`).

It behaves as the Lambda of the fast import does: a number of concurrent invocations, several objects an event, one after
the other; a failed event is invoked again after about one minute and once more after about two; throttled ones return to
the queue and are retried after 1 s, 2 s, 4 s … 5 min (AWS Lambda Developer Guide, asynchronous invocation). What the
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

Outage = tuple[float, float]


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


class SimulatedIngest:
    """One ingest; all randomness comes from `chance`."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.number = round(_log_uniform(chance, 20, 5000))
        self._concurrency = round(_log_uniform(chance, 1, 50))
        self._seconds = _log_uniform(chance, 0.2, 3)
        """Of an object, on average."""
        event_size = chance.choice((1, 1, 5, 10, 25))
        # Some days are good: then nothing fails but what can't be ingested at all.
        bad_day = chance.random() < 0.7
        self._transient = _log_uniform(chance, 0.0005, 0.05) if bad_day else 0.0
        self._crash = _log_uniform(chance, 0.001, 0.05) if bad_day else 0.0
        hopeless = _log_uniform(chance, 0.0005, 0.03)
        self._hopeless = {one for one in range(self.number) if chance.random() < hopeless}
        span = self.number * self._seconds / self._concurrency + 600
        self._stalls = self._outages(span, 0.5, 5, 180)
        self._throttles = self._outages(span, 0.3, 10, 600)
        upload = self.number / _log_uniform(chance, 100, 3000)
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
            if _in_outage(self._throttles, start):
                backoff = min(2.0**event.throttled, LONGEST_BACKOFF) * self._chance.uniform(0.8, 1)
                heappush(self._queue, event._replace(ready=start + backoff, throttled=event.throttled + 1))
                continue
            heappop(slots)
            heappush(slots, self._run(event, start))
        return Drain(self.number, sorted(self._gone))

    def _run(self, event: Event, start: float) -> float:
        """One invocation; returns when it ends. What it could not ingest may be retried with the event."""
        chance, now = self._chance, start
        crashes_at = chance.randrange(len(event.objects)) if chance.random() < self._crash else len(event.objects)
        left = []
        for place, one in enumerate(event.objects):
            if place >= crashes_at:
                left.append(one)
                continue
            now = _end_of_work(self._stalls, now, self._seconds * chance.lognormvariate(0, 0.5))
            if one in self._hopeless or chance.random() < self._transient:
                left.append(one)
            else:
                self._gone.append(now)
        if left and event.tries < len(RETRIES):
            later = now + RETRIES[event.tries] * chance.uniform(1, 1.2)
            heappush(self._queue, Event(later, event.order, tuple(left), event.tries + 1))
        return now

    def _outages(self, span: float, often: float, shortest: float, longest: float) -> list[Outage]:
        """Up to three outages, in ascending order."""
        found: list[Outage] = []
        while len(found) < 3 and self._chance.random() < often:
            begin = self._chance.uniform(0, span)
            found.append((begin, begin + _log_uniform(self._chance, shortest, longest)))
        return sorted(found)


def _log_uniform(chance: Random, least: float, most: float) -> float:
    """A number between the two, as likely to be small as large by orders of magnitude."""
    return math.exp(chance.uniform(math.log(least), math.log(most)))


def _in_outage(outages: list[Outage], at: float) -> bool:
    return any(begin <= at < end for begin, end in outages)


def _end_of_work(outages: list[Outage], start: float, seconds: float) -> float:
    """When work of this many seconds ends that pauses during outages."""
    end = start + seconds
    for begin, over in outages:
        if start < over and end > begin:
            end += over - max(start, begin)
    return end
