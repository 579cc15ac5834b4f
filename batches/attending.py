"""What the schedule does with batches: at most one count of each, and what follows from it. Nothing here sleeps."""

from __future__ import annotations

from django.conf import settings

from batches import healing
from batches.choices import FINISHED, BatchStatus
from batches.concluding import Concluded, conclude
from batches.models import Batch
from batches.patience import SCHEDULED, Patience
from batches.ticking import tick


def attend(batch: Batch, patience: Patience = SCHEDULED, *, asked_by: str = "schedule") -> Concluded | None:
    """One count of a batch that is waiting for its result, or may heal, if it is time for one; with a result, what follows it.

    Returns what followed (its problems are for a log line; the result stands), None while there is no result. Raises
    Refused and StoreError as `tick` and `heal` do: then the count is no count, and the next one begins anew.
    """
    # The job counts before it, and writes after it; without a bound, a log without end would be read until it is killed.
    within = settings.JOB_TIMEOUT / 2
    if batch.status != BatchStatus.INGESTED:
        row = tick(batch, patience, asked_by=asked_by)
        return conclude(batch, within=within) if row and row.verdict in FINISHED else None
    found = healing.heal(batch, spacing=patience.sleep, asked_by=asked_by)
    # Also when nothing changed: whoever wrote the result may have died before it was concluded.
    return conclude(batch, again=bool(found.check.verdict), within=within) if found else None
