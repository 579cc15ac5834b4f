"""What became of the failed records of a batch: corrected in a later batch, or still open.

A record is corrected if a batch that corrects its own has a record with its identifier that was ingested. Nothing of that is
stored: an ingest that is undone, or a record that is ingested late, changes it at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case, Count, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from batches.choices import IngestOutcome, UploadOutcome
from batches.models import Batch, BatchRecord, Correction

NOT_IN_BUCKET = (
    UploadOutcome.SKIP,
    UploadOutcome.FAILURE,
    UploadOutcome.UNUPLOADABLE,
    UploadOutcome.CLEARED,
)
"""Uploads that failed for certain; an uncertain one may have been ingested."""
WAS_SENT = (UploadOutcome.SUCCESS, UploadOutcome.CLEARED)
FAILED_PARTS = (
    Q(upload_outcome__in=NOT_IN_BUCKET),
    Q(ingest_outcome=IngestOutcome.FAILURE) & ~Q(upload_outcome__in=NOT_IN_BUCKET),
)
"""The failed records of a batch, in disjoint parts that an index serves each."""


@dataclass(frozen=True)
class CorrectionStatus:
    """The failed records of a batch in numbers."""

    failed: int
    """Not mapped, not uploaded, deleted, or failed to ingest."""
    corrected: dict[str, int] = field(default_factory=dict)
    """How many of them were ingested in which batch, by its id; each counts once, in the first that has it."""
    unknown: int = 0
    """Failures that no record is known for: of an imported batch without reports, or objects without a record."""

    @property
    def total(self) -> int:
        """All that failed."""
        return self.failed + self.unknown

    @property
    def open(self) -> int:
        """Failed, and not corrected."""
        return self.total - sum(self.corrected.values())

    def __str__(self) -> str:
        if not self.total:
            return "no failed records"
        parts = [f"{number:,} since corrected in {bid}" for bid, number in self.corrected.items()]
        return ", ".join([f"{self.total:,} failed", *parts, f"{self.open:,} open" if self.open else "none open"])


def with_corrected_in(records: QuerySet[BatchRecord]) -> QuerySet[Any]:
    """Annotates `corrected_in`: id of the first batch that corrected the record; None: none."""
    children = Correction.objects.filter(parent=OuterRef(OuterRef("batch_id"))).values("child")
    ingested = BatchRecord.objects.filter(batch__in=children, ingest_outcome=IngestOutcome.SUCCESS).order_by("batch_id")
    # Two look-ups, each in its index.
    own = ingested.filter(identifier=OuterRef("compared_as"), identifier_norm=None)
    other = ingested.filter(identifier_norm=OuterRef("compared_as"))
    compared = records.annotate(compared_as=Coalesce("identifier_norm", "identifier"))
    return compared.annotate(
        corrected_in=Coalesce(Subquery(own.values("batch__bid")[:1]), Subquery(other.values("batch__bid")[:1]))
    )


def correction_status(batch: Batch) -> CorrectionStatus:
    """How many of its records failed, and how many of those were corrected where. Three queries, and one if some were."""
    records = BatchRecord.objects.filter(batch=batch)
    counts: dict[str | None, int] = {}
    for part in FAILED_PARTS:
        groups = with_corrected_in(records.filter(part)).order_by().values_list("corrected_in")
        for child, number in groups.annotate(number=Count("pk")):
            counts[child] = counts.get(child, 0) + number
    unknown = batches_with_open(Batch.objects.filter(pk=batch.pk)).values_list("unknown_failures", flat=True)
    children = [child for child in counts if child]
    # In the order in which they were added.
    bids = Batch.objects.filter(bid__in=children).order_by("pk").values_list("bid", flat=True) if children else ()
    return CorrectionStatus(sum(counts.values()), {bid: counts[bid] for bid in bids}, unknown.get())


def count_resent(parent: Batch, child: Batch) -> int:
    """How many failed records of `parent` have their identifier in `child`, whatever became of them there."""
    resent = BatchRecord.objects.filter(batch=child)
    own = resent.filter(identifier=OuterRef("compared_as"), identifier_norm=None)
    other = resent.filter(identifier_norm=OuterRef("compared_as"))
    records = BatchRecord.objects.filter(batch=parent)
    return sum(
        records.filter(part)
        .annotate(compared_as=Coalesce("identifier_norm", "identifier"))
        .filter(Exists(own) | Exists(other))
        .count()
        for part in FAILED_PARTS
    )


def batches_with_open(batches: QuerySet[Batch]) -> QuerySet[Any]:
    """Annotates `open_records` (failed, and not corrected), `unknown_failures` among them, and `is_corrected`: some batch
    corrects it."""
    records = BatchRecord.objects.filter(batch=OuterRef("pk"))
    counts = [
        Coalesce(
            Subquery(
                with_corrected_in(records.filter(part))
                .filter(corrected_in=None)
                .order_by()
                .values("batch")
                .annotate(number=Count("pk"))
                .values("number")
            ),
            0,
        )
        for part in FAILED_PARTS
    ]
    ingest_errs = Coalesce("ingest_errs", 0)
    unknown = Case(
        When(
            ~Exists(records),
            then=Coalesce("map_errs", 0) + Coalesce("upload_errs", 0) + ingest_errs,
        ),
        When(
            ~Exists(records.filter(ingest_outcome=IngestOutcome.FAILURE, upload_outcome__in=WAS_SENT)), then=ingest_errs
        ),
        default=Value(0),
        output_field=IntegerField(),
    )
    corrections = Correction.objects.filter(parent=OuterRef("pk"))
    return batches.annotate(unknown_failures=unknown, is_corrected=Exists(corrections)).annotate(
        open_records=counts[0] + counts[1] + F("unknown_failures")
    )
