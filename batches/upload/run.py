"""`batch upload`: puts the objects of a batch, and never one that may have been ingested (design.md, promise 9)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from batches.choices import NOT_UPLOADED, TO_SEND, UNCLEAR, StepKind, UploadOutcome
from batches.models import Batch, BatchRecord, step
from batches.step_log import start_step
from batches.store import key_base, store_url
from batches.upload.duplicates import DuplicateSummary, check_duplicates
from batches.upload.lock import UploadLock, reason_not_uploadable
from batches.upload.put import MAY_BE_INGESTED, PutResult, object_exists
from batches.upload.sender import MAX_GROUP_SIZE, Sender
from core.exceptions import OperationRefused
from core.last_writes import last_write
from core.processes import os_user
from objectstores import Store, open_store


@dataclass
class UploadResult:
    """The outcomes of a batch's records after a run, and how the run ended."""

    outcomes: dict[str, int]
    recovered: int = 0
    """Records of an earlier upload that was cut off whose object is in the bucket."""
    stop_reason: str = ""
    """Why the run ended before all was sent; empty if it did not."""
    is_paused: bool = False
    """Whether it ended before because of `pause_reason`, not because of a failure."""

    def count(self, *outcomes: UploadOutcome) -> int:
        """How many records have one of these outcomes."""
        return sum(self.outcomes.get(outcome, 0) for outcome in outcomes)

    @property
    def unfinished(self) -> int:
        """How many records are still to be sent."""
        return self.count(UploadOutcome.PENDING, UploadOutcome.SENDING)

    @property
    def errors(self) -> int:
        """How many records were not uploaded, or not certainly."""
        return self.count(*NOT_UPLOADED)


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
            f"{batch} has no records here: its batch folder was missing when it was imported. Run `manage.py batch import`"
            " again with --batch-dir."
        )


def plan_upload(batch: Batch, *, resend_uncertain: bool = False) -> UploadPlan:
    """What `upload_batch` would do now, without asking the store. Raises OperationRefused as it would."""
    _ensure_uploadable(batch)
    outcomes = count_outcomes(batch)
    unclear = sum(outcomes.get(outcome, 0) for outcome in UNCLEAR)
    to_send = count_to_send(batch) + (unclear if resend_uncertain else 0)
    return UploadPlan(_target_store(batch), to_send, unclear)


def upload_batch(
    batch: Batch,
    *,
    resend_uncertain: bool = False,
    who: str = "",
    confirm: Callable[[DuplicateSummary], bool] = lambda _duplicates: True,
    on_start: Callable[[int], None] = lambda _number: None,
    on_result: Callable[[PutResult], None] = lambda _result: None,
    pause_reason: Callable[[], str] = lambda: "",
) -> UploadResult:
    """Sends what is not sent yet, one run at a time; an upload that was cut off resumes where it ended.

    A record whose upload ended unclearly is looked for: in the bucket it is a success, otherwise it is uncertain and sent again
    only with `resend_uncertain`. `confirm` decides whether to continue when other batches create some of the records, too;
    `on_start` gets the number of records to send, `on_result` each outcome. Once `pause_reason` returns a text, it ends after
    what is in flight, unfinished. Raises OperationRefused, UploadLockLost, and StoreError when the store can't be opened or
    listed.
    """
    _ensure_uploadable(batch)
    if batch.upload_finished and not plan_upload(batch).has_work:
        return UploadResult(count_outcomes(batch))
    duplicates = check_duplicates(batch)
    if duplicates.records and not confirm(duplicates):
        raise OperationRefused(
            f"Nothing of {batch} was sent. Remove the duplicates from one of the batches, clear the other batch, or send them"
            f" anyway: manage.py batch upload {batch} --duplicates send"
        )
    with closing(open_store(_target_store(batch))) as store:
        lock = UploadLock(batch)
        lock.acquire()
        try:
            start_step(batch, StepKind.UPLOAD, who or os_user(), token=lock.token)
            recovered = _recover_unclear(batch, store, lock)
            outcomes = count_outcomes(batch)
            arrived = any(outcomes.get(outcome) for outcome in (UploadOutcome.SUCCESS, UploadOutcome.UNCERTAIN))
            batch.set_upload_store(lock.token, store.url)
            number = count_to_send(batch) + (outcomes.get(UploadOutcome.UNCERTAIN, 0) if resend_uncertain else 0)
            sender = Sender(batch, store, lock, on_result, resend_uncertain, pause_reason)
            if number:
                on_start(number)
                batch.set_ingest_start(lock.token, replace=not arrived)
                sender.run()
            return _finish(batch, lock, recovered, sender)
        finally:
            # A run that ended well has released the lock already.
            with last_write():
                batch.release_upload(lock.token)


def count_outcomes(batch: Batch) -> dict[str, int]:
    """How many of its records have each upload outcome."""
    records = BatchRecord.objects.filter(batch=batch).order_by()
    return dict(records.values_list("upload_outcome").annotate(n=Count("pk")))


def count_to_send(batch: Batch) -> int:
    """How many of its records a run would send."""
    sendable = BatchRecord.objects.filter(batch=batch, key__isnull=False, file__isnull=False)
    return sendable.filter(upload_outcome__in=TO_SEND).count()


def _target_store(batch: Batch) -> str:
    """The store to send to: the batch's own once an object of it may be there, BATCH_STORE_URL until then."""
    arrived = (UploadOutcome.SUCCESS, *UNCLEAR)
    if settings.BATCH_STORE_URL and not BatchRecord.objects.filter(batch=batch, upload_outcome__in=arrived).exists():
        return str(settings.BATCH_STORE_URL)
    return store_url(batch)


def _recover_unclear(batch: Batch, store: Store, lock: UploadLock) -> int:
    """Looks for the records of an upload that was cut off; returns how many of them are in the bucket."""
    base, last_row, recovered = key_base(store.url), 0, 0
    records = BatchRecord.objects.filter(batch=batch, upload_outcome__in=UNCLEAR)
    rows = records.order_by("row").values_list("row", "pk", "key")
    while group := list(rows.filter(row__gt=last_row)[:MAX_GROUP_SIZE]):
        present = []
        for _row, pk, key in group:
            lock.heartbeat()
            if key and object_exists(store, base + key):
                present.append(pk)
        gone = [pk for _row, pk, _key in group if pk not in present]
        recovered += len(present)
        with transaction.atomic():
            records.filter(pk__in=present).update(upload_outcome=UploadOutcome.SUCCESS, upload_message=None)
            BatchRecord.objects.filter(pk__in=gone, upload_outcome=UploadOutcome.SENDING).update(
                upload_outcome=UploadOutcome.UNCERTAIN, upload_message=MAY_BE_INGESTED
            )
        last_row = group[-1][0]
    return recovered


def _finish(batch: Batch, lock: UploadLock, recovered: int, sender: Sender) -> UploadResult:
    result = UploadResult(count_outcomes(batch), recovered, sender.stop_reason, sender.is_paused)
    unfinished = result.unfinished
    batch.steps.filter(token=lock.token).update(
        ended_at=timezone.now(),
        oks=result.count(UploadOutcome.SUCCESS),
        errs=result.errors,
        store_url=batch.store_url,
        note=f"{unfinished} not sent. {sender.stop_reason}"[: step.MAX_NOTE_LENGTH] if unfinished else None,
    )
    if unfinished:
        return result
    oks, maybe = result.count(UploadOutcome.SUCCESS), result.count(UploadOutcome.UNCERTAIN)
    if not batch.finish_upload(lock.token, oks=oks, errs=result.errors, maybe=maybe):
        raise OperationRefused(f"Another process took over the upload of {batch} at its very end and continues it.")
    return result
