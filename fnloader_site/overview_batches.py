"""The batches' half of the overview: where each batch stands, and what of it needs a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, OuterRef, Q, Subquery

from batches import concerns
from batches.choices import COLOURS, BatchStatus, UploadOutcome, Verdict
from batches.models import Batch, BatchRecord, IngestCheck
from fnloader_site.overview import SHOWN, Concern, Running


@dataclass(frozen=True)
class BatchRow:
    """One batch, and what its last check found."""

    batch: Batch
    check: IngestCheck | None
    status: str
    colour: str

    @property
    def left(self) -> int | None:
        """Objects left in the bucket when they were last counted; None: never counted."""
        if self.batch.ingest_errs is not None:
            return self.batch.ingest_errs
        return self.check.remaining if self.check else None

    @property
    def checked_at(self) -> datetime | None:
        """When they were last counted."""
        return self.check.finished_at if self.check else self.batch.ingest_done_at

    @property
    def left_colour(self) -> str:
        """Orange when the ingest is over and objects are left: those are its errors."""
        return COLOURS[Verdict.COMPLETE_WITH_ERRORS] if self.batch.ingest_errs else ""


@dataclass(frozen=True)
class BatchesHalf:
    """What somebody who may see batches is shown."""

    concerns: list[Concern]
    running: list[Running]
    batches: list[BatchRow]
    in_ingest: int
    """Batches that are uploaded, and whose ingest was not yet found complete."""
    in_all: int


def batches_half() -> BatchesHalf:
    """Ten queries at the most, whatever the tables hold. Archived batches are left out."""
    by_status = dict(Batch.objects.filter(archived_at=None).order_by().values_list("status").annotate(n=Count("pk")))
    uploads = concerns.unfinished_uploads()
    going = [batch for batch in uploads if batch.alive]  # type: ignore[attr-defined]
    return BatchesHalf(
        concerns=concerns.look(),
        running=list(_running(going)),
        batches=_newest(),
        in_ingest=by_status.get(BatchStatus.UPLOADED, 0),
        in_all=sum(by_status.values()),
    )


def _newest() -> list[BatchRow]:
    last = IngestCheck.objects.filter(batch=OuterRef("pk")).order_by("-finished_at", "-pk").values("pk")[:1]
    batches = list(concerns.current().annotate(last_check=Subquery(last))[:SHOWN])
    checks = IngestCheck.objects.in_bulk([batch.last_check for batch in batches if batch.last_check])
    return [_row(batch, checks.get(batch.last_check)) for batch in batches]


def _row(batch: Batch, check: IngestCheck | None) -> BatchRow:
    if batch.upload_is_open:
        alive = batch.alive  # type: ignore[attr-defined]
        return BatchRow(batch, check, *(("uploading", "blue") if alive else ("upload cut off", "red")))
    return BatchRow(batch, check, batch.get_status_display(), COLOURS[BatchStatus(batch.status)])


def _running(batches: list[Batch]) -> Iterator[Running]:
    outcomes = BatchRecord.objects.filter(batch__in=[batch.pk for batch in batches]).order_by()
    to_do = Q(upload_outcome__in=[UploadOutcome.PENDING, UploadOutcome.SENDING])
    groups = outcomes.values_list("batch").annotate(n=Count("pk"), left=Count("pk", filter=to_do)) if batches else ()
    numbers = {batch: (number - left, number) for batch, number, left in groups}
    for batch in batches:
        done, of = numbers.get(batch.pk, (0, 0))
        who = f"process {batch.upload_pid} on {batch.upload_host}"
        yield Running(f"Uploading batch {batch}", who, batch.upload_started, done=done, of=of)
