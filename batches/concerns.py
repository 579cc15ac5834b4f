"""What should not be, of batches: one core for the overview and for `fnstatus` (docs/batches.md lists the kinds).

Everything here reads. Archived batches are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from batches.choices import BatchStatus, UploadOutcome
from batches.models import Batch, BatchRecord, IngestCount
from batches.models.batch import CLAIM_SECONDS
from core.concerns import Concern, Level, PageLink
from core.formatting import pluralize
from core.processes import is_dead

MOST = 50
STUCK = timedelta(hours=1)
"""A batch whose objects left have been the same for so long, by several counts, and which has no result yet."""
RECENT = timedelta(days=7)
"""For so long a batch that ended with errors is told of; archiving it ends that at once."""


def batch_concerns() -> list[Concern]:
    """Six queries."""
    return [*_cut_off(), *_uncertain(), *_failing(), *_stuck(), *_with_errors(), *_unread()]


def _current() -> QuerySet[Batch]:
    """Batches that are not archived, annotated with `alive`: an upload of it runs."""
    # Whether an upload is alive is the database's clock to say, as it is for who wants to take it over.
    alive = Q(upload_owner__isnull=False, upload_heartbeat__gt=Now() - timedelta(seconds=CLAIM_SECONDS))
    return Batch.objects.filter(archived_at=None).annotate(alive=alive)


def unfinished_uploads() -> list[Batch]:
    """Batches whose upload has begun and not ended, alive or not."""
    begun = _current().filter(upload_started__isnull=False, upload_finished=None)
    return list(begun.order_by("upload_started")[:MOST])


def _cut_off() -> Iterator[Concern]:
    for batch in unfinished_uploads():
        if batch.alive and not is_dead(batch.upload_process or ""):  # type: ignore[attr-defined]
            continue
        yield Concern(
            Level.BAD,
            f"The upload of batch {batch} was cut off",
            "Some of its records may not have been sent.",
            "Run it again: it goes on where it ended, and sends nothing twice.",
            f"python manage.py batch upload {batch}",
            since=batch.upload_heartbeat or batch.upload_started,
            link=_page(batch.bid),
            kind="upload_cut_off",
            about=batch.bid,
        )


def _uncertain() -> Iterator[Concern]:
    records = BatchRecord.objects.filter(batch__archived_at=None, upload_outcome=UploadOutcome.UNCERTAIN)
    groups = records.order_by().values_list("batch__bid").annotate(n=Count("pk")).order_by("-n")
    for bid, number in groups[:MOST]:
        yield Concern(
            Level.WARN,
            f"{pluralize(number, 'record')} of batch {bid} uncertain",
            "Each may have been ingested, or never sent. None is sent again by itself.",
            "Look them up in CollectionSpace. Which they are:",
            f"python manage.py batch show {bid}",
            link=_page(bid, "?upload=uncertain#records"),
            kind="records_uncertain",
            about=bid,
        )


def _failing() -> Iterator[Concern]:
    failing = Batch.objects.filter(archived_at=None, check_failing_since__isnull=False)
    for batch in failing.order_by("check_failing_since")[:MOST]:
        yield Concern(
            Level.BAD,
            f"Batch {batch} can't be checked",
            batch.check_problem or "",
            "The jobs go on trying. To see it at once:",
            f"python manage.py ingstat {batch}",
            since=batch.check_failing_since,
            link=_page(batch.bid),
            kind="check_failing",
            about=batch.bid,
        )


def _stuck() -> Iterator[Concern]:
    """Counted again and again, with no result, and nothing has gone for long."""
    counts = IngestCount.objects.filter(check_run__batch=OuterRef("pk"), counted_at__gte=OuterRef("upload_finished"))
    last = counts.order_by("-counted_at", "-pk")
    other = counts.exclude(remaining=OuterRef("left")).order_by("-counted_at", "-pk")
    waiting = Batch.objects.filter(status=BatchStatus.UPLOADED, archived_at=None, upload_finished__isnull=False)
    waiting = waiting.annotate(
        left=Subquery(last.values("remaining")[:1]), last=Subquery(last.values("counted_at")[:1])
    )
    waiting = waiting.annotate(changed=Subquery(other.values("counted_at")[:1]))
    same = counts.filter(counted_at__gt=Coalesce(OuterRef("changed"), OuterRef("upload_started")))
    waiting = waiting.annotate(same_since=Subquery(same.order_by("counted_at").values("counted_at")[:1]))
    for batch in waiting.filter(left__gt=0).order_by("upload_finished")[:MOST]:
        since: datetime | None = batch.same_since
        if since and batch.last - since > STUCK:
            yield _no_progress(batch, since)


def _no_progress(batch: Batch, since: datetime) -> Concern:
    return Concern(
        Level.WARN,
        f"Batch {batch} is stuck: no progress with {pluralize(batch.left, 'object')} left",  # type: ignore[attr-defined]
        "It was counted since, and each time as many objects were left as before.",
        "Is the ingest running? To judge it now:",
        f"python manage.py ingstat {batch}",
        since=since,
        link=_page(batch.bid),
        kind="no_progress",
        about=batch.bid,
    )


def _with_errors() -> Iterator[Concern]:
    ended = Batch.objects.filter(status=BatchStatus.INGESTED, archived_at=None, ingest_errs__gt=0)
    for batch in ended.filter(ingest_done_at__gt=Now() - RECENT).order_by(F("ingest_done_at").desc())[:MOST]:
        yield Concern(
            Level.WARN,
            f"{pluralize(batch.ingest_errs or 0, 'record')} of batch {batch} did not ingest",
            "Its report says which, and why. What heals later is taken off by itself.",
            "When that is done with:",
            f"python manage.py batch archive {batch}",
            since=batch.ingest_done_at,
            link=_page(batch.bid, "?ingest=failure#records"),
            kind="batch_errors",
            about=batch.bid,
        )


def _unread() -> Iterator[Concern]:
    unread = Batch.objects.filter(status=BatchStatus.INGESTED, archived_at=None, messages_problem__isnull=False)
    for batch in unread.order_by("ingest_done_at")[:MOST]:
        yield Concern(
            Level.WARN,
            f"Why records of batch {batch} failed is not known: the log of the ingest could not be read",
            batch.messages_problem or "",
            "The result stands. To read the log again:",
            f"python manage.py ingstat {batch} --messages",
            since=batch.ingest_done_at,
            link=_page(batch.bid),
            kind="log_unread",
            about=batch.bid,
        )


def _page(bid: str, query: str = "") -> PageLink:
    return PageLink(f"Open batch {bid}", "batches:batch", "batches.view_batch", (bid,), query)
