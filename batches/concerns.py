"""Problems with batches: one core for the overview and for `fnstatus` (docs/loader.md lists the kinds).

Everything here only reads. Archived batches are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, F, Max, Min, OuterRef, Subquery
from django.db.models.functions import Coalesce, Now

from batches.choices import BatchStatus, UploadOutcome
from batches.corrections.status import batches_with_open
from batches.models import Batch, BatchRecord, IngestCount
from batches.querysets import (
    IS_QUEUED,
    OBJECT_IS_RETRIED,
    STOPS_QUEUE,
    UPLOAD_IS_ALIVE,
    UPLOAD_IS_OPEN,
    UPLOAD_IS_PAUSED,
    batches_with_unread_log,
)
from core.concerns import Concern, Level, PageLink
from core.formatting import pluralize
from core.processes import is_dead

MAX_CONCERNS = 50
MAX_NAMED = 5
"""Batches that one concern about several names."""
STUCK_AFTER = timedelta(hours=1)
"""A batch without a result is stuck if several counts over this time found the same number of objects."""
REPORT_ERRORS_FOR = timedelta(days=7)
"""A batch that ended with errors is reported for this long, or until it is archived."""


def batch_concerns() -> list[Concern]:
    """Nine queries; one more while the upload queue is stopped."""
    return [
        *_cut_off(),
        *_queue_stopped(),
        *_uncertain(),
        *_check_failing(),
        *_no_progress(),
        *_with_errors(),
        *_records_open(),
        *_retried(),
        *_log_unread(),
    ]


def unfinished_uploads() -> list[Batch]:
    """Batches whose upload runs or was cut off, annotated with `alive`: whether it runs."""
    batches = Batch.objects.filter(UPLOAD_IS_OPEN, ~UPLOAD_IS_PAUSED, archived_at=None).annotate(alive=UPLOAD_IS_ALIVE)
    return list(batches.order_by("upload_started")[:MAX_CONCERNS])


def _cut_off() -> Iterator[Concern]:
    for batch in unfinished_uploads():
        if batch.alive and not is_dead(batch.upload_process or ""):  # type: ignore[attr-defined]
            continue
        yield Concern(
            Level.ERROR,
            f"Upload of batch {batch} was cut off",
            "Some of its records may not have been sent.",
            "Run it again: it resumes where it ended and sends nothing twice.",
            f"python manage.py batch upload {batch}",
            since=batch.upload_heartbeat or batch.upload_started,
            link=_page(batch.bid),
            kind="upload_cut_off",
            about=batch.bid,
        )


def _queue_stopped() -> Iterator[Concern]:
    """Only while batches wait."""
    stops = Batch.objects.filter(STOPS_QUEUE).order_by("pk")[:MAX_CONCERNS]
    waiting = Batch.objects.filter(IS_QUEUED).exclude(status=BatchStatus.INGESTED).count() if stops else 0
    for batch in stops if waiting else ():
        yield Concern(
            Level.ERROR,
            f"Upload queue stopped at batch {batch}, {pluralize(waiting, 'batch', 'batches')} queued",
            batch.queue_stop or "",
            "Correct the batch, or remove it from the queue. To go on:",
            "python manage.py batch queue --resume",
            link=_page(batch.bid),
            kind="upload_queue_stopped",
            about=batch.bid,
        )


def _uncertain() -> Iterator[Concern]:
    records = BatchRecord.objects.filter(batch__archived_at=None, upload_outcome=UploadOutcome.UNCERTAIN)
    groups = records.order_by().values_list("batch__bid").annotate(n=Count("pk")).order_by("-n")
    for bid, number in groups[:MAX_CONCERNS]:
        yield Concern(
            Level.WARNING,
            f"{pluralize(number, 'record')} of batch {bid} uncertain",
            "Each may have been ingested or never sent. None is sent again automatically.",
            "Look them up in CollectionSpace. To list them:",
            f"python manage.py batch show {bid}",
            link=_page(bid, "?upload=uncertain#records"),
            kind="records_uncertain",
            about=bid,
        )


def _check_failing() -> Iterator[Concern]:
    batches = Batch.objects.filter(archived_at=None, check_failing_since__isnull=False)
    for batch in batches.order_by("check_failing_since")[:MAX_CONCERNS]:
        yield Concern(
            Level.ERROR,
            f"Batch {batch} can't be checked",
            batch.check_problem or "",
            "The background jobs keep trying. To check it now:",
            f"python manage.py ingstat {batch}",
            since=batch.check_failing_since,
            link=_page(batch.bid),
            kind="check_failing",
            about=batch.bid,
        )


def _no_progress() -> Iterator[Concern]:
    """Batches without a result whose last counts, over a long time, found the same number of objects."""
    # An imported batch may have been uploaded at an unknown time.
    since = Coalesce(OuterRef("upload_finished"), OuterRef("added_at"))
    counts = IngestCount.objects.filter(check_run__batch=OuterRef("pk"), counted_at__gte=since)
    last = counts.order_by("-counted_at", "-pk")
    other = counts.exclude(remaining=OuterRef("remaining")).order_by("-counted_at", "-pk")
    batches = Batch.objects.filter(status=BatchStatus.UPLOADED, archived_at=None).exclude(UPLOAD_IS_OPEN)
    batches = batches.annotate(
        remaining=Subquery(last.values("remaining")[:1]), last_counted_at=Subquery(last.values("counted_at")[:1])
    )
    batches = batches.annotate(changed=Subquery(other.values("counted_at")[:1]))
    same = counts.filter(counted_at__gt=Coalesce(OuterRef("changed"), OuterRef("upload_started"), OuterRef("added_at")))
    batches = batches.annotate(same_since=Subquery(same.order_by("counted_at").values("counted_at")[:1]))
    for batch in batches.filter(remaining__gt=0).order_by("upload_finished")[:MAX_CONCERNS]:
        if not batch.same_since or batch.last_counted_at - batch.same_since <= STUCK_AFTER:
            continue
        yield Concern(
            Level.WARNING,
            f"Batch {batch} is stuck: no progress, {pluralize(batch.remaining, 'object')} remaining",
            "Several counts have found the same number of objects.",
            "Check that the ingest is running. To check the batch now:",
            f"python manage.py ingstat {batch}",
            since=batch.same_since,
            link=_page(batch.bid),
            kind="no_progress",
            about=batch.bid,
        )


def _with_errors() -> Iterator[Concern]:
    batches = Batch.objects.filter(status=BatchStatus.INGESTED, archived_at=None, ingest_errs__gt=0)
    recent = batches_with_open(batches.filter(ingest_done_at__gt=Now() - REPORT_ERRORS_FOR)).filter(open_records__gt=0)
    for batch in recent.order_by(F("ingest_done_at").desc())[:MAX_CONCERNS]:
        corrected = f", {batch.open_records:,} still open" if batch.is_corrected else ""
        yield Concern(
            Level.WARNING,
            f"{pluralize(batch.ingest_errs or 0, 'record')} of batch {batch} did not ingest{corrected}",
            "Its report lists them, with the reason. Records that heal are removed automatically.",
            "To dismiss:",
            f"python manage.py batch archive {batch}",
            since=batch.ingest_done_at,
            link=_page(batch.bid, "?ingest=failure#records"),
            kind="batch_errors",
            about=batch.bid,
        )


def _records_open() -> Iterator[Concern]:
    """One for all batches: a site that never archived any has many."""
    if not settings.OPEN_RECORDS_DAYS:
        return
    ended = Coalesce("ingest_done_at", "uploaded_at", "added_at")
    batches = batches_with_open(Batch.objects.filter(archived_at=None)).annotate(ended=ended)
    old = batches.filter(ended__lt=Now() - timedelta(days=settings.OPEN_RECORDS_DAYS), open_records__gt=0)
    rows = list(old.order_by("ended", "pk").values_list("bid", "open_records", "ended"))
    if not rows:
        return
    records = sum(number for _bid, number, _ended in rows)
    named = ", ".join(bid for bid, _number, _ended in rows[:MAX_NAMED]) + (", …" if len(rows) > MAX_NAMED else "")
    yield Concern(
        Level.WARNING,
        f"{pluralize(records, 'failed record')} of {pluralize(len(rows), 'batch', 'batches')} still open",
        f"For more than {settings.OPEN_RECORDS_DAYS:g} days nobody has corrected them in a later batch: {named}.",
        "Correct them, or archive the batches that are done. To list them:",
        "python manage.py batch list --open",
        since=rows[0][2],
        link=PageLink("Open the list", "batches:batches", "batches.view_batch", (), "?errors=open"),
        kind="records_open",
    )


def _retried() -> Iterator[Concern]:
    records = BatchRecord.objects.filter(OBJECT_IS_RETRIED, batch__archived_at=None)
    groups = (
        records.order_by()
        .values_list("batch__bid", "batch__status")
        .annotate(n=Count("pk"), tries=Max("tries"), since=Min("retry_seen_at"), example=Min("identifier"))
    )
    for bid, status, number, tries, since, example in groups.order_by("-n")[:MAX_CONCERNS]:
        often = f", up to {tries:,} times" if tries else ""
        such = f", such as {example}" if example else ""
        # While it goes on, an object may be ingested as it is deleted.
        option = "" if status == BatchStatus.INGESTED else " --even-if-ingesting"
        yield Concern(
            Level.WARNING,
            f"{pluralize(number, 'object')} of batch {bid} tried again and again{often}",
            f"The ingest may never end with them{such}, and each try may create the record once more.",
            "Look for duplicates in CollectionSpace. To delete exactly these objects:",
            f"python manage.py batch clear {bid} --retried{option}",
            since=since,
            link=_page(bid, "?failed=retried#records"),
            kind="retried",
            about=bid,
        )


def _log_unread() -> Iterator[Concern]:
    for batch in batches_with_unread_log().order_by("ingest_done_at")[:MAX_CONCERNS]:
        yield Concern(
            Level.WARNING,
            f"Failures of batch {batch} have no messages: the ingest log {batch.log_outcome}",
            batch.messages_problem or "",
            "The result is not affected. To read the log again:",
            f"python manage.py ingstat {batch} --messages",
            since=batch.ingest_done_at,
            link=_page(batch.bid),
            kind="log_unread",
            about=batch.bid,
        )


def _page(bid: str, query: str = "") -> PageLink:
    return PageLink(f"Open batch {bid}", "batches:batch", "batches.view_batch", (bid,), query)
