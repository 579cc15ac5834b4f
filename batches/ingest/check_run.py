"""A check under way: each count is kept as it is made; the verdict comes with its result, whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import DatabaseError, transaction

from batches.choices import FINISHED, CheckKind
from batches.ingest.count import ObjectCount, RemainingKeys, count
from batches.ingest.options import CheckOptions
from batches.ingest.outcomes import write_outcomes
from batches.ingest.rule import Change, IngestRule, Observation
from batches.models import Batch, IngestCheck, IngestCount
from objectstores import Store


class ResultSuperseded(Exception):
    """Another check wrote its result, or an upload began, since the batch was read: there is no result of this one."""


@dataclass
class CheckRun:
    """One check: its row, the rule that judges it, and what was counted by this process."""

    batch: Batch
    row: IngestCheck
    rule: IngestRule
    times: list[datetime] = field(default_factory=list)
    """When each count was complete, from the first one of the check."""
    counts: list[ObjectCount] = field(default_factory=list)

    @classmethod
    def begin(cls, batch: Batch, store: Store, patience: CheckOptions, *, kind: CheckKind, asked_by: str) -> Self:
        """A new check; nothing is written before its first count."""
        row = IngestCheck(
            batch=batch,
            kind=kind,
            store=store.url,
            sleep_seconds=patience.sleep,
            checks=patience.checks,
            rechecks=patience.rechecks,
            asked_by=asked_by,
            host=settings.HOST_NAME,
        )
        return cls(batch, row, IngestRule(patience.checks, patience.rechecks))

    @classmethod
    def resume(cls, batch: Batch, row: IngestCheck) -> Self:
        """A check that goes on where its stored counts end."""
        run = cls(batch, row, IngestRule(row.checks, row.rechecks))
        counts = IngestCount.objects.filter(check_run=row).order_by("number")
        for remaining, digest, when in counts.values_list("remaining", "digest", "counted_at"):
            run.rule.feed(Observation(remaining, digest))
            run.times.append(when)
        return run

    def step(self, store: Store, remaining: RemainingKeys) -> tuple[ObjectCount, Change]:
        """Counts once and keeps what it saw; with the last count, the verdict and the result of the batch.

        Raises what the listing raises, and Overtaken: then the count is kept, and the check has no verdict.
        """
        seen = count(store, self.batch, remaining if self.rule.next_may_be_last_with_errors() else None)
        change, verdict = self.rule.change(seen.seen), self.rule.feed(seen.seen)
        self.counts.append(seen)
        self.times.append(seen.counted_at)
        try:
            with transaction.atomic():
                if verdict in FINISHED:
                    self._finish(seen, remaining)
                self.row.verdict = verdict
                self.keep(seen)
        except ResultSuperseded as error:
            self.row.verdict, self.row.problem = None, str(error)
            self.keep(seen)
            raise
        return seen, change

    def keep(self, seen: ObjectCount) -> None:
        """Writes a count, and the check's row as it is now."""
        row = self.row
        row.finished_at, row.remaining = seen.counted_at, seen.remaining
        row.started_at = row.started_at or seen.counted_at
        with transaction.atomic():
            row.save()
            IngestCount.objects.create(
                check_run=row,
                number=len(self.times),
                counted_at=seen.counted_at,
                remaining=seen.remaining,
                digest=seen.seen.digest,
                foreign=seen.foreign,
                invalid=seen.invalid,
            )

    def give_up(self, problem: str) -> None:
        """Ends it without a verdict, if it has any count. A database that is away must not hide why."""
        if self.row.pk and not self.row.verdict:
            with suppress(DatabaseError):
                IngestCheck.objects.filter(pk=self.row.pk, verdict=None).update(problem=problem[:1000])

    def _finish(self, seen: ObjectCount, remaining: RemainingKeys) -> None:
        batch, row = self.batch, self.row
        # First, because it locks the batch against others who would write a result.
        complete = self.times[self.rule.steady_since()]
        if not batch.finish_ingest(left=seen.remaining, done=seen.counted_at, complete=complete):
            raise ResultSuperseded("another check, an upload or a rollback came first")
        settled = write_outcomes(batch, remaining if seen.remaining else None)
        batch.count_ingested(found=settled.found)
        row.unmatched = settled.unmatched
        row.ingest_oks = batch.ingest_oks
        row.ingest_complete_time = batch.ingest_complete_time
        row.ingest_duration = batch.ingest_duration


EARLY = 0.8
"""A schedule is not exact: a tick may come after so much of the spacing. One that comes earlier, or twice, counts nothing."""


def open_check(batch: Batch, kind: CheckKind) -> IngestCheck | None:
    """The check of this kind that goes on, of the batch as it was last uploaded."""
    going = IngestCheck.objects.filter(batch=batch, kind=kind, verdict=None, problem=None)
    latest = going.order_by("-finished_at", "-pk").first()
    if latest and batch.upload_finished and latest.started_at < batch.upload_finished:
        going.update(problem="the batch was uploaded again")
        return None
    return latest
