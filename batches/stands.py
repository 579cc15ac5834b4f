"""Where a batch stands, in words for pages, and the rows that lists of batches show."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Case, CharField, OuterRef, Q, QuerySet, Subquery, TextChoices, Value, When
from django.db.models.functions import Coalesce, Now

from batches.choices import BatchStatus
from batches.models import CLAIM_SECONDS, Batch, IngestCheck


class Stands(TextChoices):
    """Where a batch stands: its status, and what of it matters more."""

    ADDED = "added", "added"
    MAPPED = "mapped", "mapped"
    UPLOADING = "uploading", "uploading"
    CUT_OFF = "upload cut off", "upload cut off"
    IN_INGEST = "in ingest", "in ingest"
    COMPLETE = "ingested", "ingested"
    WITH_ERRORS = "ingested, with errors", "ingested, with errors"


STANDS_COLOURS: dict[str, str] = {
    Stands.ADDED: "grey",
    Stands.MAPPED: "grey",
    Stands.UPLOADING: "blue",
    Stands.CUT_OFF: "red",
    Stands.IN_INGEST: "blue",
    Stands.COMPLETE: "green",
    Stands.WITH_ERRORS: "orange",
}


def batches() -> QuerySet[Batch]:
    """Batches, newest first, with `stands`, and with `left` and `counted`: what was counted last, and when.

    The last two are a look into an index for each row that is shown.
    """
    last = IngestCheck.objects.filter(batch=OuterRef("pk")).order_by("-finished_at", "-pk")
    return Batch.objects.annotate(
        stands=_stands(),
        left=Coalesce("ingest_errs", Subquery(last.values("remaining")[:1])),
        counted=Coalesce(Subquery(last.values("finished_at")[:1]), "ingest_done_at"),
    ).order_by("-added_at", "-pk")


def _stands() -> Case:
    # Whether an upload is alive is the database's clock to say, as it is for who wants to take it over.
    alive = Q(upload_owner__isnull=False, upload_heartbeat__gt=Now() - timedelta(seconds=CLAIM_SECONDS))
    begun = Q(upload_started__isnull=False, upload_finished=None)
    return Case(
        When(begun & alive, then=Value(Stands.UPLOADING.value)),
        When(begun, then=Value(Stands.CUT_OFF.value)),
        When(status=BatchStatus.INGESTED, ingest_errs__gt=0, then=Value(Stands.WITH_ERRORS.value)),
        When(status=BatchStatus.INGESTED, then=Value(Stands.COMPLETE.value)),
        When(status=BatchStatus.UPLOADED, then=Value(Stands.IN_INGEST.value)),
        When(status=BatchStatus.MAPPED, then=Value(Stands.MAPPED.value)),
        default=Value(Stands.ADDED.value),
        output_field=CharField(),
    )
