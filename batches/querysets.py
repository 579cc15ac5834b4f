"""The queries of batches that several places use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Case, CharField, Count, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Now

from batches.choices import UPLOADABLE, BatchState, BatchStatus, IngestOutcome, UploadOutcome
from batches.keys import comparable
from batches.models import Batch, BatchRecord, IngestCheck
from batches.models.batch import UPLOAD_LOCK_SECONDS
from core.exceptions import OperationRefused
from core.lists.filters import prefix_lookup

UPLOAD_IS_OPEN = Q(upload_started__isnull=False, upload_finished=None)
UPLOAD_IS_PAUSED = UPLOAD_IS_OPEN & Q(queued_at__isnull=False, upload_owner=None)
"""The upload queue ended it cleanly, and continues it."""
UPLOAD_IS_ALIVE = Q(
    # By the database's clock, as in `Batch.lock_upload`.
    upload_owner__isnull=False,
    upload_heartbeat__gt=Now() - timedelta(seconds=UPLOAD_LOCK_SECONDS),
)
IS_QUEUED = Q(queued_at__isnull=False, archived_at=None)
STOPS_QUEUE = Q(queue_stop__isnull=False, archived_at=None)
"""The upload queue stopped at these and was not resumed since; one of which too many records failed has left it."""
OBJECT_REMAINS = Q(ingest_outcome=IngestOutcome.FAILURE, upload_outcome=UploadOutcome.SUCCESS)
"""Records whose object remained when the result was written, and was not cleared or ingested since."""
OBJECT_IS_RETRIED = Q(retry_sign__isnull=False, retry_seen_at__isnull=False)
"""Records whose object is tried again and again and may be in the bucket, as far as counts have seen."""
NEXT_STEP = {
    "upload": Q(status__in=[BatchStatus.ADDED, BatchStatus.MAPPED]) | (Q(status__in=UPLOADABLE) & UPLOAD_IS_OPEN),
    "ingstat": Q(status=BatchStatus.UPLOADED) & ~UPLOAD_IS_OPEN,
    "none": Q(status=BatchStatus.INGESTED),
}
"""Which batches wait for which step."""


def get_batch(bid: str) -> Batch:
    """The batch. Raises OperationRefused if it does not exist."""
    batch = Batch.objects.filter(bid=bid).first()
    if batch is None:
        raise OperationRefused(
            f"There is no batch {bid!r}. To list all: manage.py batch list. To add it: manage.py batch add."
        )
    return batch


def identifier_in(identifiers: Iterable[str]) -> Q:
    """Records whose identifier people take for one of these: see `batches.keys.comparable`."""
    texts = set(identifiers)
    norms = set(map(comparable, texts))
    return Q(identifier__in=texts | norms) | Q(identifier_norm__in=norms)


def identifier_lookups(text: str) -> dict[str, Q]:
    """By the field to sort by: disjoint ranges of an index; together, all records whose identifier begins with that text."""
    norm = comparable(text)
    own = Q(**prefix_lookup("identifier", norm), identifier_norm=None)
    return {"identifier": own, "identifier_norm": Q(**prefix_lookup("identifier_norm", norm))}


def count_actions(batch: Batch) -> dict[str, int]:
    """How many records of the batch have each action, by their keys: a mapper may mix them."""
    records = BatchRecord.objects.filter(batch=batch, action__isnull=False).order_by()
    return dict(records.values_list("action").annotate(n=Count("pk")))


def select_batches(
    *, status: str | None = None, next_step: str | None = None, archived: bool | None = False
) -> QuerySet[Batch]:
    """Batches, newest first, by status and by next step (see NEXT_STEP); `archived` None: archived ones, too."""
    batches = Batch.objects.all()
    if archived is not None:
        batches = batches.filter(archived_at__isnull=not archived)
    if status:
        batches = batches.filter(status=status)
    return batches.filter(NEXT_STEP[next_step]) if next_step else batches


def upload_queue_batches() -> QuerySet[Batch]:
    """The upload queue in its order, and those that left it and stopped it; annotated with `alive`: whether an upload runs."""
    batches = Batch.objects.filter(IS_QUEUED | STOPS_QUEUE)
    return batches.annotate(alive=UPLOAD_IS_ALIVE).order_by("queued_at", "pk")


def batches_in_ingest() -> QuerySet[Batch]:
    """Batches that are uploaded and not yet ingested, the oldest first; without archived ones."""
    return Batch.objects.filter(status=BatchStatus.UPLOADED, archived_at=None).order_by("added_at", "pk")


def batches_with_unread_log() -> QuerySet[Batch]:
    """Ingested batches whose log could not be read, the oldest first; without archived ones."""
    ingested = Batch.objects.filter(status=BatchStatus.INGESTED, archived_at=None)
    return ingested.filter(messages_problem__isnull=False).order_by("added_at", "pk")


def batches_with_state() -> QuerySet[Batch]:
    """Batches, newest first, with `state` (a BatchState), and with `remaining` and `last_counted_at` of the last count.

    The last two are an index look-up for each row that is shown.
    """
    state = Case(
        When(UPLOAD_IS_OPEN & UPLOAD_IS_ALIVE, then=Value(BatchState.UPLOADING.value)),
        When(UPLOAD_IS_PAUSED, then=Value(BatchState.PAUSED.value)),
        When(UPLOAD_IS_OPEN, then=Value(BatchState.CUT_OFF.value)),
        When(status=BatchStatus.INGESTED, ingest_errs__gt=0, then=Value(BatchState.WITH_ERRORS.value)),
        When(status=BatchStatus.INGESTED, then=Value(BatchState.COMPLETE.value)),
        When(status=BatchStatus.UPLOADED, then=Value(BatchState.IN_INGEST.value)),
        When(status=BatchStatus.MAPPED, then=Value(BatchState.MAPPED.value)),
        default=Value(BatchState.ADDED.value),
        output_field=CharField(),
    )
    last = IngestCheck.objects.filter(batch=OuterRef("pk")).order_by("-finished_at", "-pk")
    return Batch.objects.annotate(
        state=state,
        remaining=Coalesce("ingest_errs", Subquery(last.values("remaining")[:1])),
        last_counted_at=Coalesce(Subquery(last.values("finished_at")[:1]), "ingest_done_at"),
    ).order_by("-added_at", "-pk")
