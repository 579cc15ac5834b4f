"""How long to look at a bucket before judging: the options of a check, and those of the check that runs by itself.

The rule is in `batches.ingest.rule`; `bench/verdicts.py` simulates how often a choice ends in a wrong verdict (docs/batches.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckOptions:
    """How long to look before judging: the options of `ingstat`."""

    sleep: float = 1.5
    """Seconds between two counts."""
    checks: int = 1
    rechecks: int = 1

    @property
    def quiet_seconds(self) -> float:
        """For so long, at least, nothing has changed when a check ends as complete with errors."""
        return self.sleep * (1 + self.rechecks)


# Chosen from bench/verdicts.py: wrong in none of 10,000 simulated ingests (15 minutes without a change: in 1, 10: in 35).
SCHEDULED_SLEEP = 60.0
"""Seconds between two counts of the scheduled check; the schedule can't do it more often than every 30 s."""
SCHEDULED_CHECKS = 10_000
"""A check may find so many changes: it follows the batch for a week before another one is begun."""
SCHEDULED_RECHECKS = 29
"""Half an hour without a change: a throttled event comes again after up to 5 minutes, and a failed one after two."""

SCHEDULED = CheckOptions(SCHEDULED_SLEEP, SCHEDULED_CHECKS, SCHEDULED_RECHECKS)
"""Of the check that runs by itself: it has time, so it is hardly ever wrong."""

WATCHED = CheckOptions(10.0, SCHEDULED_CHECKS, round(SCHEDULED.quiet_seconds / 10) - 1)
"""Of `ingstat --watch`: as long without a change as the scheduled check wants it, in shorter steps."""
