"""The insert calls that the findNeighbour4 stand-in got, and numbers on how busy they kept it."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Traffic:
    """The insert calls: how many are in flight, since when, and for how long there was one. Monotonic seconds."""

    in_flight: int = 0
    most_in_flight: int = 0
    busy_seconds: float = 0.0
    first_start: float | None = None
    last_end: float | None = None
    answers: Counter[int] = field(default_factory=Counter)
    by_guid: dict[str, list[int]] = field(default_factory=dict)
    _busy_since: float = 0.0

    def begin(self, guid: str, started: float) -> int:
        """An insert call came in, its first byte at `started`; returns its number among those of its guid."""
        if self.in_flight == 0:
            self._busy_since = max(started, self.last_end or started)
        if self.first_start is None:
            self.first_start = started
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        calls = self.by_guid.setdefault(guid, [])
        calls.append(0)
        return len(calls) - 1

    def end(self, guid: str, number: int, status: int) -> None:
        """The call ended, whether or not a client still waits for the answer."""
        now = time.monotonic()
        self.in_flight -= 1
        self.last_end = now
        self.answers[status] += 1
        self.by_guid[guid][number] = status
        if self.in_flight == 0:
            self.busy_seconds += now - self._busy_since

    def show(self) -> dict[str, Any]:
        """The numbers for `GET /sandbox/stats`; `busy_share` is of the time from the first start to the last end."""
        length = (self.last_end or 0) - (self.first_start or 0)
        return {
            "inserts": self.answers[200],
            "conflicts": self.answers[409],
            "answers": {str(status): count for status, count in self.answers.items()},
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "busy_seconds": self.busy_seconds,
            "first_start": self.first_start,
            "last_end": self.last_end,
            "busy_share": self.busy_seconds / length if length > 0 else None,
        }
