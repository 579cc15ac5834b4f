"""The batches' half of the overview: where each batch stands, and what of it needs a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from batches.choices import COLOURS, BatchStatus, UploadOutcome, Verdict
from batches.models import CLAIM_SECONDS, Batch, BatchRecord, IngestCheck
from fnloader_site.overview import SHOWN, Concern, Level, Running, many

MOST_CONCERNS = 50


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
    """Six queries at the most, whatever the tables hold. Archived batches are left out."""
    by_status = dict(Batch.objects.filter(archived_at=None).order_by().values_list("status").annotate(n=Count("pk")))
    uploads = _unfinished_uploads()
    going = [batch for batch in uploads if batch.alive]  # type: ignore[attr-defined]
    return BatchesHalf(
        concerns=[*_cut_off([batch for batch in uploads if batch not in going]), *_uncertain()],
        running=list(_running(going)),
        batches=_newest(),
        in_ingest=by_status.get(BatchStatus.UPLOADED, 0),
        in_all=sum(by_status.values()),
    )


def _newest() -> list[BatchRow]:
    last = IngestCheck.objects.filter(batch=OuterRef("pk")).order_by("-finished_at", "-pk").values("pk")[:1]
    batches = list(_current().annotate(last_check=Subquery(last))[:SHOWN])
    checks = IngestCheck.objects.in_bulk([batch.last_check for batch in batches if batch.last_check])
    return [_row(batch, checks.get(batch.last_check)) for batch in batches]


def _row(batch: Batch, check: IngestCheck | None) -> BatchRow:
    if batch.upload_is_open:
        alive = batch.alive  # type: ignore[attr-defined]
        return BatchRow(batch, check, *(("uploading", "blue") if alive else ("upload cut off", "red")))
    return BatchRow(batch, check, batch.get_status_display(), COLOURS[BatchStatus(batch.status)])


def _current() -> QuerySet[Batch]:
    # Whether an upload is alive is the database's clock to say, as it is for who wants to take it over.
    alive = Q(upload_owner__isnull=False, upload_heartbeat__gt=Now() - timedelta(seconds=CLAIM_SECONDS))
    return Batch.objects.filter(archived_at=None).annotate(alive=alive)


def _unfinished_uploads() -> list[Batch]:
    begun = _current().filter(upload_started__isnull=False, upload_finished=None)
    return list(begun.order_by("upload_started")[:MOST_CONCERNS])


def _cut_off(batches: list[Batch]) -> Iterator[Concern]:
    for batch in batches:
        yield Concern(
            Level.BAD,
            f"The upload of batch {batch} was cut off",
            "Some of its records may not have been sent.",
            "Run it again: it goes on where it ended, and sends nothing twice.",
            f"python manage.py batch upload {batch}",
            since=batch.upload_heartbeat or batch.upload_started,
        )


def _uncertain() -> Iterator[Concern]:
    records = BatchRecord.objects.filter(batch__archived_at=None, upload_outcome=UploadOutcome.UNCERTAIN)
    groups = records.order_by().values_list("batch__bid").annotate(n=Count("pk")).order_by("-n")
    for bid, number in groups[:MOST_CONCERNS]:
        yield Concern(
            Level.WARN,
            f"{many(number, 'record')} of batch {bid} uncertain",
            "Each may have been ingested, or never sent. None is sent again by itself.",
            "Look them up in CollectionSpace. Which they are:",
            f"python manage.py batch show {bid}",
        )


def _running(batches: list[Batch]) -> Iterator[Running]:
    outcomes = BatchRecord.objects.filter(batch__in=[batch.pk for batch in batches]).order_by()
    to_do = Q(upload_outcome__in=[UploadOutcome.PENDING, UploadOutcome.SENDING])
    groups = outcomes.values_list("batch").annotate(n=Count("pk"), left=Count("pk", filter=to_do)) if batches else ()
    numbers = {batch: (number - left, number) for batch, number, left in groups}
    for batch in batches:
        done, of = numbers.get(batch.pk, (0, 0))
        who = f"process {batch.upload_pid} on {batch.upload_host}"
        yield Running(f"Uploading batch {batch}", who, batch.upload_started, done=done, of=of)
