"""Checks whether the ingest of a batch is over, and writes the result whole or not at all (design.md, promises 1 to 3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from batches.choices import FINISHED, BatchStatus, Verdict
from batches.counting import Count, Remaining, count
from batches.errors import Refused
from batches.models import Batch, IngestCheck, IngestCount
from batches.outcomes import settle
from batches.patience import Patience
from batches.places import store_url
from batches.verdict import Change, IngestRule
from fnloader_site.processes import is_dead
from objectstores import Store, open_store


@dataclass
class CheckResult:
    """What a check found, or what an earlier one had stored."""

    batch: Batch
    verdict: Verdict
    remaining: int
    stored: bool = False
    """True: nothing was counted, the batch has its result already."""
    counts: list[Count] = field(default_factory=list)
    unmatched: int = 0
    """Objects left that are none of the batch's records."""


def find(bid: str) -> Batch:
    """The batch. Raises Refused for one that is unknown."""
    batch = Batch.objects.filter(bid=bid).first()
    if batch is None:
        raise Refused(f"There is no batch {bid!r}. `manage.py batch list` shows those there are; `batch add` adds one.")
    return batch


def check(
    batch: Batch,
    patience: Patience,
    *,
    asked_by: str,
    tell: Callable[[Count, Change], None] = lambda _count, _change: None,
    sleep: Callable[[float], None] = time.sleep,
) -> CheckResult:
    """Counts what is left until there is a verdict, and writes check, result and outcomes in one transaction.

    A batch that has its result is not counted. Raises Refused for one that can't be checked, and StoreError when a count
    fails: then nothing is written at all.
    """
    if batch.status == BatchStatus.INGESTED:
        return stored(batch)
    refuse(batch)
    started = timezone.now()
    rule = IngestRule(patience.checks, patience.rechecks)
    with Remaining() as remaining, closing(open_store(store_url(batch))) as store:
        counts, verdict = _observe(store, batch, rule, lambda: sleep(patience.sleep), remaining, tell)
        run = IngestCheck(
            batch=batch,
            started_at=started,
            finished_at=counts[-1].counted_at,
            store=store.url,
            sleep_seconds=patience.sleep,
            checks=patience.checks,
            rechecks=patience.rechecks,
            verdict=verdict,
            remaining=counts[-1].remaining,
            asked_by=asked_by,
            host=settings.HOST_NAME,
        )
        if not _record(run, counts, counts[rule.steady_since()].counted_at, remaining):
            return _overtaken(batch)
    return CheckResult(batch, verdict, run.remaining, counts=counts, unmatched=run.unmatched or 0)


def stored(batch: Batch) -> CheckResult:
    """The result of a batch that is ingested."""
    left = batch.ingest_errs or 0
    return CheckResult(batch, Verdict.COMPLETE_WITH_ERRORS if left else Verdict.COMPLETE, left, stored=True)


def refuse(batch: Batch) -> None:
    """Raises Refused unless its ingest can be checked."""
    bid = batch.bid
    if batch.upload_is_open and batch.upload_owner and not is_dead(batch.upload_process or ""):
        raise Refused(
            f"{bid} is being uploaded by process {batch.upload_pid} on {batch.upload_host}: check when that has ended."
        )
    if batch.upload_is_open:
        raise Refused(f"The upload of {bid} is unfinished: run `manage.py batch upload {bid}` again, then check.")
    if batch.status != BatchStatus.UPLOADED and batch.upload_started is None:
        raise Refused(f"{bid} was never uploaded (it is {batch.status}): run `manage.py batch upload {bid}` first.")
    if batch.status != BatchStatus.UPLOADED or not batch.upload_oks:
        raise Refused(
            f"Nothing of {bid} was uploaded, so there is no ingest to check: `manage.py batch show {bid}` says why;"
            f" put it right and run `manage.py batch upload {bid}` again."
        )


def _observe(
    store: Store,
    batch: Batch,
    rule: IngestRule,
    pause: Callable[[], None],
    remaining: Remaining,
    tell: Callable[[Count, Change], None],
) -> tuple[list[Count], Verdict]:
    counts: list[Count] = []
    while True:
        if counts:
            pause()
        seen = count(store, batch.bid, remaining if rule.next_may_be_last_with_errors() else None)
        counts.append(seen)
        change = rule.change(seen.seen)
        verdict = rule.feed(seen.seen)
        tell(seen, change)
        if verdict:
            return counts, verdict


def _record(run: IngestCheck, counts: list[Count], complete: datetime, remaining: Remaining) -> bool:
    """Writes everything that the check found; False, and nothing, when another check or an upload came first."""
    batch = run.batch
    with transaction.atomic():
        if run.verdict in FINISHED:
            # First, because it locks the batch against others who would write a result.
            if not batch.finish_ingest(left=run.remaining, done=run.finished_at, complete=complete):
                return False
            found, run.unmatched = settle(batch, remaining if run.remaining else None)
            batch.count_ingested(found=found)
            run.ingest_oks = batch.ingest_oks
            run.ingest_complete_time = batch.ingest_complete_time
            run.ingest_duration = batch.ingest_duration
        run.save(force_insert=True)
        IngestCount.objects.bulk_create(_rows(run, counts), batch_size=500)
    return True


def _rows(run: IngestCheck, counts: list[Count]) -> list[IngestCount]:
    return [
        IngestCount(
            check_run=run,
            number=number,
            counted_at=one.counted_at,
            remaining=one.remaining,
            digest=one.seen.digest,
            foreign=one.foreign,
            invalid=one.invalid,
        )
        for number, one in enumerate(counts, 1)
    ]


def _overtaken(batch: Batch) -> CheckResult:
    batch.refresh_from_db()
    if batch.status == BatchStatus.INGESTED:
        return stored(batch)
    raise Refused(f"{batch.bid} was uploaded again, or taken back, while it was being checked: nothing was recorded.")
