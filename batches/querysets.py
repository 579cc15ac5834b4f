"""The queries of batches that more than one place asks."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Case, CharField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Now

from batches.choices import (
    UPLOADABLE,
    BatchState,
    BatchStatus,
)
from batches.models import Batch, IngestCheck
from batches.models.batch import CLAIM_SECONDS
from core.exceptions import OperationRefused


def batches_with_state() -> QuerySet[Batch]:
    """Batches, newest first, with `stands`, and with `left` and `counted`: what was counted last, and when.

    The last two are a look into an index for each row that is shown.
    """
    last = IngestCheck.objects.filter(batch=OuterRef("pk")).order_by("-finished_at", "-pk")
    return Batch.objects.annotate(
        stands=_state(),
        left=Coalesce("ingest_errs", Subquery(last.values("remaining")[:1])),
        counted=Coalesce(Subquery(last.values("finished_at")[:1]), "ingest_done_at"),
    ).order_by("-added_at", "-pk")


def _state() -> Case:
    # Whether an upload is alive is the database's clock to say, as it is for who wants to take it over.
    alive = Q(upload_owner__isnull=False, upload_heartbeat__gt=Now() - timedelta(seconds=CLAIM_SECONDS))
    begun = Q(upload_started__isnull=False, upload_finished=None)
    return Case(
        When(begun & alive, then=Value(BatchState.UPLOADING.value)),
        When(begun, then=Value(BatchState.CUT_OFF.value)),
        When(status=BatchStatus.INGESTED, ingest_errs__gt=0, then=Value(BatchState.WITH_ERRORS.value)),
        When(status=BatchStatus.INGESTED, then=Value(BatchState.COMPLETE.value)),
        When(status=BatchStatus.UPLOADED, then=Value(BatchState.IN_INGEST.value)),
        When(status=BatchStatus.MAPPED, then=Value(BatchState.MAPPED.value)),
        default=Value(BatchState.ADDED.value),
        output_field=CharField(),
    )


def get_batch(bid: str) -> Batch:
    """The batch. Raises OperationRefused for one that is unknown."""
    batch = Batch.objects.filter(bid=bid).first()
    if batch is None:
        raise OperationRefused(
            f"There is no batch {bid!r}. `manage.py batch list` shows those there are; `batch add` adds one."
        )
    return batch


_CUT_OFF = Q(upload_started__isnull=False, upload_finished=None)
NEXT_STEP = {
    "upload": Q(status__in=[BatchStatus.ADDED, BatchStatus.MAPPED]) | (Q(status__in=UPLOADABLE) & _CUT_OFF),
    "ingstat": Q(status=BatchStatus.UPLOADED) & ~_CUT_OFF,
    "none": Q(status=BatchStatus.INGESTED),
}
"""Which batches are waiting for which step."""


def select_batches(
    *, status: str | None = None, next_step: str | None = None, archived: bool | None = False
) -> QuerySet[Batch]:
    """Batches, newest first: of a status, waiting for a step (see NEXT); `archived` None: those, too."""
    chosen = Batch.objects.all()
    if archived is not None:
        chosen = chosen.filter(archived_at__isnull=not archived)
    if status:
        chosen = chosen.filter(status=status)
    return chosen.filter(NEXT_STEP[next_step]) if next_step else chosen
