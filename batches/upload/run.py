"""`batch upload`: puts the objects of a batch, and never one that may have been ingested (design.md, promise 9)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Count
from django.utils import timezone

from batches.choices import NOT_UPLOADED, TO_SEND, UNCLEAR, StepKind, UploadOutcome
from batches.models import Batch, BatchRecord, step
from batches.step_log import start_step
from batches.store import key_base, store_url
from batches.upload import duplicates
from batches.upload.duplicates import DuplicateSummary
from batches.upload.lock import UploadLock, reason_not_uploadable
from batches.upload.put import MAY_BE_INGESTED, PutResult, object_exists
from batches.upload.sender import LARGEST_GROUP, Sender
from core.exceptions import OperationRefused
from core.processes import os_user
from objectstores import Store, open_store


@dataclass
class UploadResult:
    """Where the records of a batch stand after a run, and how the run went."""

    outcomes: dict[str, int]
    recovered: int = 0
    """Records of an upload that was cut off whose object is in the bucket: they had arrived."""
    stopped: str = ""
    """Why the run ended before all was sent; empty if it did not."""

    def number(self, *outcomes: UploadOutcome) -> int:
        """How many records have one of these outcomes."""
        return sum(self.outcomes.get(outcome, 0) for outcome in outcomes)

    @property
    def number_unfinished(self) -> int:
        """How many records are still to be sent."""
        return self.number(UploadOutcome.PENDING, UploadOutcome.SENDING)

    @property
    def errors(self) -> int:
        """How many records were not uploaded, or not certainly."""
        return self.number(*NOT_UPLOADED)


@dataclass
class UploadPlan:
    """What a run would do."""

    store: str
    to_send: int
    unclear: int

    @property
    def has_work(self) -> bool:
        """Whether a run would do anything."""
        return bool(self.to_send or self.unclear)


def _ensure_uploadable(batch: Batch) -> None:
    if reason := reason_not_uploadable(batch):
        raise OperationRefused(reason)
    if not batch.records.exists():
        raise OperationRefused(
            f"{batch} has no records here, so there is nothing to upload: its batch folder was not there when it was"
            " imported. Run `manage.py batch import` again with --batch-dir."
        )


def plan_upload(batch: Batch, *, resend_uncertain: bool = False) -> UploadPlan:
    """What `upload` would do now, without asking the store. Raises OperationRefused as it would."""
    _ensure_uploadable(batch)
    outcomes = by_outcome(batch)
    unclear = sum(outcomes.get(outcome, 0) for outcome in UNCLEAR)
    to_send = waiting(batch) + (unclear if resend_uncertain else 0)
    return UploadPlan(_target(batch), to_send, unclear)


def upload_batch(
    batch: Batch,
    *,
    resend_uncertain: bool = False,
    who: str = "",
    may: Callable[[DuplicateSummary], bool] = lambda _found: True,
    begin: Callable[[int], None] = lambda _number: None,
    tell: Callable[[PutResult], None] = lambda _sent: None,
) -> UploadResult:
    """Sends what is not sent yet, one run at a time; a run that was cut off is taken up where it ended.

    A record whose upload ended unclearly is looked for: in the bucket it is a success; else it is uncertain, and sent again
    only with `resend_uncertain`. `may` is asked whether to go on when other batches create some of the records, too; `begin` gets
    the number of records to send, `tell` each outcome. Raises OperationRefused, UploadLockLost, and StoreError when the store
    can't be opened
    or looked at.
    """
    _ensure_uploadable(batch)
    if batch.upload_finished and not plan_upload(batch).has_work:
        return UploadResult(by_outcome(batch))
    _look_for_duplicates(batch, may)
    target = _target(batch)
    with closing(open_store(target)) as store:
        claim = UploadLock(batch)
        claim.take()
        try:
            start_step(batch, StepKind.UPLOAD, who or os_user(), token=claim.token)
            return _run(batch, store, claim, resend_uncertain=resend_uncertain, begin=begin, tell=tell)
        finally:
            # What ended well has given the claim back already. A database that is away must not hide the first error.
            with suppress(DatabaseError):
                batch.release_upload(claim.token)


def _look_for_duplicates(batch: Batch, may: Callable[[DuplicateSummary], bool]) -> None:
    found = duplicates.check_duplicates(batch)
    if found.records and not may(found):
        raise OperationRefused(
            f"Nothing of {batch} was sent. Take the duplicates out of one of the batches, or clear the other one,"
            f" or send them all the same: manage.py batch upload {batch} --duplicates send"
        )


def by_outcome(batch: Batch) -> dict[str, int]:
    """How many of its records have each outcome of the upload."""
    found = BatchRecord.objects.filter(batch=batch).values_list("upload_outcome").annotate(n=Count("pk")).order_by()
    return dict(found)


def waiting(batch: Batch) -> int:
    """How many of its records a run would send."""
    sendable = BatchRecord.objects.filter(batch=batch, key__isnull=False, file__isnull=False)
    return sendable.filter(upload_outcome__in=TO_SEND).count()


def _run(
    batch: Batch,
    store: Store,
    claim: UploadLock,
    *,
    resend_uncertain: bool,
    begin: Callable[[int], None],
    tell: Callable[[PutResult], None],
) -> UploadResult:
    recovered = _look_for_unclear(batch, store, claim)
    outcomes = by_outcome(batch)
    arrived = any(outcomes.get(outcome) for outcome in (UploadOutcome.SUCCESS, UploadOutcome.UNCERTAIN))
    batch.set_upload_store(claim.token, store.url)
    number = waiting(batch) + (outcomes.get(UploadOutcome.UNCERTAIN, 0) if resend_uncertain else 0)
    sender = Sender(batch, store, claim, tell, resend_uncertain=resend_uncertain)
    if number:
        begin(number)
        batch.set_ingest_start(claim.token, anew=not arrived)
        sender.run()
    return _finish(batch, claim, recovered, sender.stopped)


def _target(batch: Batch) -> str:
    """The store to send to: the batch's own once something of it may be there, BATCH_STORE_URL until then."""
    arrived = (UploadOutcome.SUCCESS, *UNCLEAR)
    if settings.BATCH_STORE_URL and not BatchRecord.objects.filter(batch=batch, upload_outcome__in=arrived).exists():
        return str(settings.BATCH_STORE_URL)
    return store_url(batch)


def _look_for_unclear(batch: Batch, store: Store, claim: UploadLock) -> int:
    """Settles the records of an upload that was cut off; returns how many of them had arrived."""
    base, last, found = key_base(store.url), 0, 0
    records = BatchRecord.objects.filter(batch=batch, upload_outcome__in=UNCLEAR)
    while some := list(records.filter(row__gt=last).order_by("row").values_list("row", "pk", "key")[:LARGEST_GROUP]):
        there = []
        for _row, pk, key in some:
            claim.beat()
            if key and object_exists(store, base + key):
                there.append(pk)
        gone = [pk for _row, pk, _key in some if pk not in there]
        found += len(there)
        with transaction.atomic():
            records.filter(pk__in=there).update(upload_outcome=UploadOutcome.SUCCESS, upload_message=None)
            BatchRecord.objects.filter(pk__in=gone, upload_outcome=UploadOutcome.SENDING).update(
                upload_outcome=UploadOutcome.UNCERTAIN, upload_message=MAY_BE_INGESTED
            )
        last = some[-1][0]
    return found


def _finish(batch: Batch, claim: UploadLock, recovered: int, stopped: str) -> UploadResult:
    result = UploadResult(by_outcome(batch), recovered, stopped)
    left = result.number_unfinished
    batch.steps.filter(token=claim.token).update(
        ended_at=timezone.now(),
        oks=result.number(UploadOutcome.SUCCESS),
        errs=result.errors,
        store_url=batch.store_url,
        note=f"{left} left to send. {stopped}"[: step.LONGEST_NOTE] if left else None,
    )
    if left:
        return result
    oks, maybe = result.number(UploadOutcome.SUCCESS), result.number(UploadOutcome.UNCERTAIN)
    if not batch.finish_upload(claim.token, oks=oks, errs=result.errors, maybe=maybe):
        raise OperationRefused(
            f"The upload of {batch} was taken over by another process at its very end; that one goes on."
        )
    return result
