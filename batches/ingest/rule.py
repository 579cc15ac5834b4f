"""When an ingest is over: the rule of reference/ingstat.txt, fed with the counts of complete listings, and its options.

It knows no store, no clock and no database. Its only state is the observations it was fed: a scheduled check feeds the
stored counts again, in their order, and continues from there. `bench/verdicts.py` simulates how often which options end in a
wrong verdict (docs/batches.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from batches.choices import Verdict


@dataclass(frozen=True)
class CheckOptions:
    """How long to count before a verdict: the options of `ingstat`."""

    sleep: float = 1.5
    """Seconds between two counts."""
    checks: int = 1
    """Counts that may find a change before the ingest is reported as still in progress."""
    rechecks: int = 1
    """Counts that must find no change after the first one that found none."""

    def __str__(self) -> str:
        checks = f" --checks {self.checks}" if self.checks > 1 else ""
        return f"--sleep {self.sleep:g}{checks} --rechecks {self.rechecks}"

    @property
    def quiet_seconds(self) -> float:
        """Nothing has changed for at least this long when a check ends as complete with errors."""
        return self.sleep * (1 + self.rechecks)

    @property
    def quiet_minutes(self) -> float:
        """The same in minutes."""
        return self.quiet_seconds / 60


# Chosen with bench/verdicts.py: wrong in none of 10,000 simulated ingests (15 minutes without a change: in 1, 10: in 35).
SCHEDULED = CheckOptions(sleep=60.0, checks=10_000, rechecks=29)
"""The scheduled check, which has time. It is due at most every 30 s, follows a batch for a week before another check starts,
and ends after half an hour without a change: a throttled event comes again after up to 5 minutes, a failed one after two."""

WATCHED = CheckOptions(10.0, SCHEDULED.checks, round(SCHEDULED.quiet_seconds / 10) - 1)
"""`ingstat --watch`: needs as long without a change as the scheduled check, but counts more often."""


@dataclass(frozen=True)
class Observation:
    """The result of one complete listing."""

    remaining: int
    digest: str
    """Of the objects' names: an equal number of other objects is a change."""


class Change(Enum):
    """An observation compared with the previous one."""

    FIRST = "first count"
    SAME = "unchanged"
    NUMBER = "changed"
    NAMES = "changed: same count but different objects"


@dataclass
class IngestRule:
    """Feed observations until there is a verdict. `checks` and `rechecks` as in CheckOptions."""

    checks: int = 1
    rechecks: int = 1
    observations: list[Observation] = field(default_factory=list)
    verdict: Verdict | None = None
    _checked: int = 0
    _rechecked: int = 0
    _steady: bool = False

    def feed(self, observation: Observation) -> Verdict | None:
        """The verdict, or None: wait and count again. Raises ValueError if there is a verdict already."""
        if self.verdict:
            raise ValueError(f"there is a verdict already: {self.verdict}")
        change = self.change(observation)
        self.observations.append(observation)
        if observation.remaining == 0:
            self.verdict = Verdict.COMPLETE
        elif self._steady and change is not Change.SAME:
            self.verdict = Verdict.IN_PROGRESS
        elif self._steady:
            self._rechecked += 1
            if self._rechecked >= self.rechecks:
                self.verdict = Verdict.COMPLETE_WITH_ERRORS
        elif change is not Change.FIRST:
            self._checked += 1
            self._steady = change is Change.SAME
            if not self._steady and self._checked >= self.checks:
                self.verdict = Verdict.IN_PROGRESS
        return self.verdict

    def change(self, observation: Observation) -> Change:
        """How it differs from the last observation that was fed."""
        if not self.observations:
            return Change.FIRST
        last = self.observations[-1]
        if observation.remaining != last.remaining:
            return Change.NUMBER
        return Change.SAME if observation.digest == last.digest else Change.NAMES

    def next_can_be_complete_with_errors(self) -> bool:
        """Whether the next observation can end the check as complete with errors: then the names are needed."""
        return self._steady and self._rechecked + 1 >= self.rechecks

    def steady_since(self) -> int:
        """Index of the first of the last observations that are all the same."""
        index = len(self.observations) - 1
        while index > 0 and self.observations[index - 1] == self.observations[index]:
            index -= 1
        return index
