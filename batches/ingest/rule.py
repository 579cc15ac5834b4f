"""When an ingest is over: the rule of reference/ingstat.txt, fed with what complete listings saw.

It knows no store, no clock and no database. Its state is nothing but what it was fed: a job that counts once a tick feeds
the stored counts again, in their order, and goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from batches.choices import Verdict


@dataclass(frozen=True)
class Observation:
    """What one complete listing saw of a batch."""

    remaining: int
    digest: str
    """Of the objects' names: an equal number of other objects is a change."""


class Change(Enum):
    """An observation beside the one before it."""

    FIRST = "first count"
    SAME = "unchanged"
    NUMBER = "changed"
    NAMES = "changed: as many objects, but other ones"


@dataclass
class IngestRule:
    """Feed observations until there is a verdict; nothing is to be counted after it.

    `checks`: counts that may find a change before the ingest is reported as still in progress.
    `rechecks`: counts that must find no change after the first that found none.
    """

    checks: int = 1
    rechecks: int = 1
    observations: list[Observation] = field(default_factory=list)
    verdict: Verdict | None = None
    _checked: int = 0
    _rechecked: int = 0
    _steady: bool = False

    def feed(self, seen: Observation) -> Verdict | None:
        """The verdict, or None: wait and count again. Raises ValueError when there is a verdict already."""
        if self.verdict:
            raise ValueError(f"the verdict is known: {self.verdict}")
        change = self.change(seen)
        self.observations.append(seen)
        self.verdict = self._judge(seen, change)
        return self.verdict

    def change(self, seen: Observation) -> Change:
        """How it differs from the last observation that was fed."""
        if not self.observations:
            return Change.FIRST
        last = self.observations[-1]
        if seen.remaining != last.remaining:
            return Change.NUMBER
        return Change.SAME if seen.digest == last.digest else Change.NAMES

    def next_may_be_last_with_errors(self) -> bool:
        """Whether the next observation can end the check as complete with errors: then the names matter."""
        return self._steady and self._rechecked + 1 >= self.rechecks

    def steady_since(self) -> int:
        """Index of the observation that first saw what the last one saw."""
        index = len(self.observations) - 1
        while index > 0 and self.observations[index - 1] == self.observations[index]:
            index -= 1
        return index

    def _judge(self, seen: Observation, change: Change) -> Verdict | None:
        if seen.remaining == 0:
            return Verdict.COMPLETE
        if change is Change.FIRST:
            return None
        if self._steady:
            return self._recheck(change)
        self._checked += 1
        self._steady = change is Change.SAME
        return Verdict.IN_PROGRESS if not self._steady and self._checked >= self.checks else None

    def _recheck(self, change: Change) -> Verdict | None:
        if change is not Change.SAME:
            return Verdict.IN_PROGRESS
        self._rechecked += 1
        return Verdict.COMPLETE_WITH_ERRORS if self._rechecked >= self.rechecks else None
