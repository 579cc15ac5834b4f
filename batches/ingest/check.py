"""Checks whether the ingest of a batch is over, and writes the result whole or not at all (design.md, promises 1 to 3).

`check` counts until there is a verdict; `CheckRun` is one check, count by count, also for the scheduled check and for healing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self

from django.conf import settings
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce, Concat, Left
from django.utils import timezone

from batches.choices import FINISHED, UNCLEAR, BatchStatus, CheckKind, IngestOutcome, UploadOutcome, Verdict
from batches.ingest.count import ObjectCount, RemainingKeys, count
from batches.ingest.retried import mark_present, mark_put_again, put_again_after
from batches.ingest.rule import Change, CheckOptions, IngestRule, Observation
from batches.keys import digest
from batches.models import Batch, BatchRecord, IngestCheck, IngestCount
from batches.models.record import MAX_MESSAGE_LENGTH, NOT_UPLOADED_PREFIX
from batches.store import store_url
from core.exceptions import OperationRefused
from core.last_writes import last_write
from core.processes import is_dead
from objectstores import Store, open_store

EARLY = 0.8
"""A schedule is not exact: a count is due after this part of the spacing. A job that comes earlier, or twice, counts nothing."""
GROUP_SIZE = 500
UNCERTAIN_MESSAGE = (
    "Its upload ended unclearly, and its object is not in the bucket: it may have been ingested or never sent."
)


class ResultSuperseded(Exception):
    """Another check wrote its result, or an upload started, since the batch was read: this check has no result."""


@dataclass
class CheckResult:
    """The result of a check, or the stored result of an earlier one."""

    batch: Batch
    verdict: Verdict
    remaining: int
    stored: bool = False
    """True: nothing was counted, because the batch has its result already."""
    counts: list[ObjectCount] = field(default_factory=list)
    unmatched: int = 0
    """Remaining objects without a record."""


def check(
    batch: Batch,
    options: CheckOptions,
    *,
    asked_by: str,
    kind: CheckKind = CheckKind.CHECK,
    on_count: Callable[[ObjectCount, Change], None] = lambda _count, _change: None,
    sleep: Callable[[float], None] = time.sleep,
) -> CheckResult:
    """Counts the remaining objects until there is a verdict; writes each count, and the result with the last one.

    A batch that has its result is not counted. Raises OperationRefused for one that can't be checked, and StoreError when a count
    fails: then there is no result, and the check is kept without a verdict.
    """
    if batch.status == BatchStatus.INGESTED:
        return stored_result(batch)
    ensure_checkable(batch)
    with RemainingKeys() as remaining, closing(open_store(store_url(batch))) as store:
        run = CheckRun.begin(batch, store, options, kind=kind, asked_by=asked_by)
        try:
            while not run.rule.verdict:
                if run.counts:
                    sleep(options.sleep)
                on_count(*run.count_once(store, remaining))
        except ResultSuperseded as error:
            batch.refresh_from_db()
            if batch.status == BatchStatus.INGESTED:
                return stored_result(batch)
            raise OperationRefused(
                f"No result for {batch}: it was uploaded again or rolled back while it was being checked. Check it again."
            ) from error
        except BaseException as error:
            run.abort(str(error) or "interrupted")
            raise
    return CheckResult(batch, run.rule.verdict, run.row.remaining, counts=run.counts, unmatched=run.row.unmatched or 0)


def stored_result(batch: Batch) -> CheckResult:
    """The result of a batch that is ingested. Raises OperationRefused if it was imported without its numbers."""
    if batch.ingest_errs is None:
        raise OperationRefused(
            f"The result of {batch} was imported without the number of its remaining objects (ingest_errs). To count them:"
            f" manage.py batch rollback {batch} ingest, then manage.py ingstat {batch}"
        )
    remaining = batch.ingest_errs
    verdict = Verdict.COMPLETE_WITH_ERRORS if remaining else Verdict.COMPLETE
    return CheckResult(batch, verdict, remaining, stored=True)


def ensure_checkable(batch: Batch) -> None:
    """Raises OperationRefused unless the ingest of the batch can be checked."""
    if batch.upload_is_open and batch.upload_owner and not is_dead(batch.upload_process or ""):
        raise OperationRefused(
            f"{batch} is being uploaded by process {batch.upload_pid} on {batch.upload_host}. Check it when the upload has ended."
        )
    if batch.upload_is_open:
        raise OperationRefused(
            f"The upload of {batch} is unfinished: run `manage.py batch upload {batch}` again, then check."
        )
    if batch.status != BatchStatus.UPLOADED and batch.upload_started is None:
        raise OperationRefused(
            f"{batch} was never uploaded (status: {batch.status}): run `manage.py batch upload {batch}` first."
        )
    # Of an imported batch, the number may be unknown.
    uploaded = UNCLEAR if batch.upload_oks is not None else (UploadOutcome.SUCCESS, *UNCLEAR)
    may_have_arrived = BatchRecord.objects.filter(batch=batch, upload_outcome__in=uploaded)
    if batch.status != BatchStatus.UPLOADED or not (batch.upload_oks or may_have_arrived.exists()):
        raise OperationRefused(
            f"Nothing of {batch} was uploaded, so there is no ingest to check. `manage.py batch show {batch}` lists the reasons;"
            f" correct them and run `manage.py batch upload {batch}` again."
        )


@dataclass
class CheckRun:
    """One check: its row, its rule, and what this process counted. Verdict and result are written together, or neither."""

    batch: Batch
    row: IngestCheck
    rule: IngestRule
    times: list[datetime] = field(default_factory=list)
    """When each count was complete, from the first one of the check."""
    counts: list[ObjectCount] = field(default_factory=list)

    @classmethod
    def begin(cls, batch: Batch, store: Store, options: CheckOptions, *, kind: CheckKind, asked_by: str) -> Self:
        """A new check; nothing is written before its first count."""
        row = IngestCheck(
            batch=batch,
            kind=kind,
            # Not before the upload it is about, though the clock of that host was ahead: `open_check` compares them.
            started_at=max(timezone.now(), batch.upload_finished or timezone.now()),
            store=store.url,
            sleep_seconds=options.sleep,
            checks=options.checks,
            rechecks=options.rechecks,
            asked_by=asked_by,
            host=settings.HOST_NAME,
        )
        return cls(batch, row, IngestRule(options.checks, options.rechecks))

    @classmethod
    def resume(cls, batch: Batch, row: IngestCheck) -> Self:
        """A check that continues after its stored counts."""
        run = cls(batch, row, IngestRule(row.checks, row.rechecks))
        counts = IngestCount.objects.filter(check_run=row).order_by("number")
        for remaining, names_digest, counted_at in counts.values_list("remaining", "digest", "counted_at"):
            run.rule.feed(Observation(remaining, names_digest))
            run.times.append(counted_at)
        return run

    def count_once(self, store: Store, remaining: RemainingKeys) -> tuple[ObjectCount, Change]:
        """Counts once and saves the count; with the last one, the verdict and the result of the batch.

        Raises what the listing raises, and ResultSuperseded: then the count is saved, and the check has no verdict.
        """
        keep_all, after = self.rule.next_can_be_complete_with_errors(), put_again_after(self.batch)
        counted = count(store, self.batch, remaining, keep_all=keep_all, put_again_after=after)
        change, verdict = self.rule.change(counted.observation), self.rule.feed(counted.observation)
        self.counts.append(counted)
        self.times.append(counted.counted_at)
        try:
            with transaction.atomic():
                if verdict in FINISHED:
                    self._write_result(counted, remaining)
                else:
                    mark_put_again(self.batch, remaining, counted.counted_at)
                self.row.verdict = verdict
                self.save_count(counted)
        except ResultSuperseded as error:
            self.row.verdict, self.row.problem = None, str(error)
            self.save_count(counted)
            raise
        return counted, change

    def save_count(self, counted: ObjectCount) -> None:
        """Writes a count, and the row of the check as it is now."""
        self.row.finished_at, self.row.remaining = counted.counted_at, counted.remaining
        with transaction.atomic():
            self.row.save()
            IngestCount.objects.create(
                check_run=self.row,
                number=len(self.times),
                counted_at=counted.counted_at,
                remaining=counted.remaining,
                digest=counted.observation.digest,
                foreign=counted.foreign,
                invalid=counted.invalid,
            )

    def abort(self, problem: str) -> None:
        """Ends it without a verdict, if it has any count. A database that is unavailable must not hide the reason."""
        if self.row.pk and not self.row.verdict:
            with last_write():
                IngestCheck.objects.filter(pk=self.row.pk, verdict=None).update(problem=problem[:MAX_MESSAGE_LENGTH])

    def _write_result(self, counted: ObjectCount, remaining: RemainingKeys) -> None:
        batch, row = self.batch, self.row
        # First, because it locks the batch against others who would write a result.
        complete = self.times[self.rule.steady_since()]
        if not batch.finish_ingest(remaining=counted.remaining, done=counted.counted_at, complete=complete):
            raise ResultSuperseded("superseded by another check, an upload or a rollback")
        outcomes = write_outcomes(batch, remaining if counted.remaining else None)
        mark_present(batch, remaining if counted.remaining else None, counted.counted_at)
        batch.set_ingest_oks(found=outcomes.found)
        row.unmatched = outcomes.unmatched
        row.ingest_oks = batch.ingest_oks
        row.ingest_complete_time = batch.ingest_complete_time
        row.ingest_duration = batch.ingest_duration


def open_check(batch: Batch, kind: CheckKind) -> IngestCheck | None:
    """The latest check of this kind that has no verdict yet, since the last upload of the batch."""
    unfinished = IngestCheck.objects.filter(batch=batch, kind=kind, verdict=None, problem=None)
    latest = unfinished.order_by("-finished_at", "-pk").first()
    if latest and batch.upload_finished and latest.started_at < batch.upload_finished:
        unfinished.update(problem="the batch was uploaded again")
        return None
    return latest


class OutcomeCounts(NamedTuple):
    """What `write_outcomes` found."""

    found: int
    """Records with an unclear upload whose object is in the bucket: they are marked as uploaded."""
    unmatched: int
    """Remaining keys without a record."""


def write_outcomes(batch: Batch, remaining: RemainingKeys | None) -> OutcomeCounts:
    """Writes the ingest outcome of every record; `remaining`: keys of the remaining objects, None for none.

    Call it inside the transaction that writes the result.
    """
    records = BatchRecord.objects.filter(batch=batch)
    # First as if nothing remained: by the outcome of the upload alone.
    reason = Left(
        Concat(Value(NOT_UPLOADED_PREFIX), Coalesce(F("upload_message"), F("upload_outcome"))), MAX_MESSAGE_LENGTH
    )
    uploaded = records.filter(upload_outcome=UploadOutcome.SUCCESS)
    unclear = records.filter(upload_outcome__in=UNCLEAR)
    not_uploaded = records.exclude(upload_outcome__in=[UploadOutcome.SUCCESS, *UNCLEAR])
    uploaded.update(ingest_outcome=IngestOutcome.SUCCESS, ingest_message=None)
    unclear.update(ingest_outcome=IngestOutcome.UNCERTAIN, ingest_message=UNCERTAIN_MESSAGE)
    not_uploaded.filter(key=None).update(ingest_outcome=IngestOutcome.SKIP, ingest_message=reason)
    not_uploaded.exclude(key=None).update(ingest_outcome=IngestOutcome.FAILURE, ingest_message=reason)
    found = unmatched = 0
    for keys in remaining.groups(GROUP_SIZE) if remaining else ():
        failed = records.filter(key_digest__in=[digest(key) for key in keys])
        found += failed.filter(upload_outcome__in=UNCLEAR).update(
            upload_outcome=UploadOutcome.SUCCESS, upload_message=None
        )
        unmatched += len(keys) - failed.update(ingest_outcome=IngestOutcome.FAILURE, ingest_message=None)
    return OutcomeCounts(found, unmatched)
