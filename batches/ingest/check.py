"""Checks whether the ingest of a batch is over, and writes the result whole or not at all (design.md, promises 1 to 3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from django.utils import timezone

from batches.choices import UNCLEAR, BatchStatus, CheckKind, Verdict
from batches.ingest.check_run import CheckRun, ResultSuperseded
from batches.ingest.count import ObjectCount, RemainingKeys
from batches.ingest.options import CheckOptions
from batches.ingest.rule import Change
from batches.models import Batch, BatchRecord
from batches.store import store_url
from core.exceptions import OperationRefused
from core.processes import is_dead
from objectstores import open_store


@dataclass
class CheckResult:
    """What a check found, or what an earlier one had stored."""

    batch: Batch
    verdict: Verdict
    remaining: int
    stored: bool = False
    """True: nothing was counted, the batch has its result already."""
    counts: list[ObjectCount] = field(default_factory=list)
    unmatched: int = 0
    """Objects left that are none of the batch's records."""


def check(
    batch: Batch,
    patience: CheckOptions,
    *,
    asked_by: str,
    kind: CheckKind = CheckKind.CHECK,
    tell: Callable[[ObjectCount, Change], None] = lambda _count, _change: None,
    sleep: Callable[[float], None] | None = None,
) -> CheckResult:
    """Counts what is left until there is a verdict; writes each count as it is made, and the result with the last one.

    A batch that has its result is not counted. Raises OperationRefused for one that can't be checked, and StoreError when a count
    fails: then there is no result, and the check is kept without a verdict.
    """
    if batch.status == BatchStatus.INGESTED:
        return stored_result(batch)
    ensure_checkable(batch)
    with RemainingKeys() as remaining, closing(open_store(store_url(batch))) as store:
        run = CheckRun.begin(batch, store, patience, kind=kind, asked_by=asked_by)
        run.row.started_at = timezone.now()
        try:
            while not run.rule.verdict:
                if run.counts:
                    (sleep or time.sleep)(patience.sleep)
                tell(*run.step(store, remaining))
        except ResultSuperseded:
            return _overtaken(batch)
        except BaseException as error:
            run.give_up(str(error) or "it was told to stop")
            raise
    return CheckResult(batch, run.rule.verdict, run.row.remaining, counts=run.counts, unmatched=run.row.unmatched or 0)


def stored_result(batch: Batch) -> CheckResult:
    """The result of a batch that is ingested."""
    left = batch.ingest_errs or 0
    return CheckResult(batch, Verdict.COMPLETE_WITH_ERRORS if left else Verdict.COMPLETE, left, stored=True)


def ensure_checkable(batch: Batch) -> None:
    """Raises OperationRefused unless its ingest can be checked."""
    bid = batch.bid
    if batch.upload_is_open and batch.upload_owner and not is_dead(batch.upload_process or ""):
        raise OperationRefused(
            f"{bid} is being uploaded by process {batch.upload_pid} on {batch.upload_host}: check when that has ended."
        )
    if batch.upload_is_open:
        raise OperationRefused(
            f"The upload of {bid} is unfinished: run `manage.py batch upload {bid}` again, then check."
        )
    if batch.status != BatchStatus.UPLOADED and batch.upload_started is None:
        raise OperationRefused(
            f"{bid} was never uploaded (it is {batch.status}): run `manage.py batch upload {bid}` first."
        )
    if batch.status != BatchStatus.UPLOADED or not (batch.upload_oks or _may_have_arrived(batch)):
        raise OperationRefused(
            f"Nothing of {bid} was uploaded, so there is no ingest to check: `manage.py batch show {bid}` says why;"
            f" put it right and run `manage.py batch upload {bid}` again."
        )


def _may_have_arrived(batch: Batch) -> bool:
    return BatchRecord.objects.filter(batch=batch, upload_outcome__in=UNCLEAR).exists()


def _overtaken(batch: Batch) -> CheckResult:
    batch.refresh_from_db()
    if batch.status == BatchStatus.INGESTED:
        return stored_result(batch)
    raise OperationRefused(
        f"{batch.bid} was uploaded again, or taken back, while it was being checked: there is no result."
    )
