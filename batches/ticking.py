"""The scheduled check of a batch: one count a tick, and no sleeping. Its state is the stored counts, fed again to the rule."""

from __future__ import annotations

from contextlib import closing

from django.utils import timezone

from batches.choices import BatchStatus, CheckKind
from batches.counting import Remaining
from batches.history import IngestCheck
from batches.ingest import refuse
from batches.models import Batch
from batches.observing import Overtaken, Run
from batches.patience import SCHEDULED, Patience
from batches.places import store_url
from objectstores import Store, open_store
from objectstores.base import StoreError

EARLY = 0.8
"""A schedule is not exact: a tick may come after so much of the spacing. One that comes earlier, or twice, counts nothing."""


def tick(batch: Batch, patience: Patience = SCHEDULED, *, asked_by: str = "schedule") -> IngestCheck | None:
    """Counts once, if it is time to; returns the check with what is known now (`verdict`, `remaining`, `problem`).

    `patience.sleep` seconds must lie between two counts. The check goes on with the next tick until it has a verdict; the
    tick after that begins another. None: the batch has its result, or it is too early, or another tick came first.
    Raises Refused for a batch that can't be checked, and StoreError when the count fails: that ends the check without a
    verdict, and the next tick begins another.
    """
    if batch.status == BatchStatus.INGESTED:
        return None
    refuse(batch)
    if not batch.claim_count(patience.sleep * EARLY):
        return None
    with Remaining() as remaining, closing(open_store(store_url(batch))) as store:
        run = _open_run(batch, store, patience, asked_by)
        try:
            run.step(store, remaining)
        except Overtaken:
            pass
        except StoreError as error:
            run.give_up(str(error))
            raise
    return run.row


def open_check(batch: Batch, kind: CheckKind) -> IngestCheck | None:
    """The check of this kind that goes on, of the batch as it was last uploaded."""
    going = IngestCheck.objects.filter(batch=batch, kind=kind, verdict=None, problem=None)
    latest = going.order_by("-finished_at", "-pk").first()
    if latest and batch.upload_finished and latest.started_at < batch.upload_finished:
        going.update(problem="the batch was uploaded again")
        return None
    return latest


def _open_run(batch: Batch, store: Store, patience: Patience, asked_by: str) -> Run:
    row = open_check(batch, CheckKind.TICK)
    if row and (row.checks, row.rechecks, row.store) == (patience.checks, patience.rechecks, store.url):
        return Run.resume(batch, row)
    if row:
        IngestCheck.objects.filter(pk=row.pk).update(problem="its settings were changed")
    run = Run.begin(batch, store, patience, kind=CheckKind.TICK, asked_by=asked_by)
    run.row.started_at = timezone.now()
    return run
