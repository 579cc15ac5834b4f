"""Duplicates: identifiers that several batches of one record type would create.

Within a batch no identifier occurs twice: `batch add` and `batch import` refuse that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import NamedTuple

from django.utils import timezone

from batches.choices import TO_SEND, Action, IngestOutcome, UploadOutcome
from batches.corrections.status import FAILED_PARTS
from batches.keys import comparable
from batches.models import Batch, BatchRecord, Correction
from batches.querysets import OBJECT_REMAINS, identifier_in
from core.formatting import pluralize, printable

PAGE_SIZE = 500
MAX_EXAMPLES = 20
NEVER_CREATED = (UploadOutcome.SKIP, UploadOutcome.CLEARED)
"""Records that are in no bucket and that no upload sends: they don't count as duplicates."""


class DuplicateRecord(NamedTuple):
    """A record, and one of another batch with the same identifier."""

    row: int
    identifier: str
    other: str
    """The id of the other batch."""
    other_row: int
    state: str
    """The outcome of the other record."""

    def __str__(self) -> str:
        return (
            f"row {self.row}: {printable(self.identifier)} is also in {self.other} (row {self.other_row}, {self.state})"
        )


@dataclass
class DuplicateSummary:
    """How many records have a duplicate, and the first of them."""

    records: int = 0
    examples: list[DuplicateRecord] = field(default_factory=list)


def find_duplicates(batch: Batch, *, to_send: bool = False) -> Iterator[DuplicateRecord]:
    """Every duplicate, in the order of the batch's rows; `to_send`: only of records that an upload would send now."""
    records = BatchRecord.objects.filter(batch=batch).order_by("row")
    others = BatchRecord.objects.filter(action=Action.CREATE, batch__rectype=batch.rectype).order_by()
    others = others.exclude(batch=batch).exclude(upload_outcome__in=NEVER_CREATED)
    # A correction creates what its parents failed to.
    parents = list(Correction.objects.filter(child=batch).values_list("parent_id", flat=True))
    if parents:
        others = others.exclude(reduce(or_, FAILED_PARTS), batch__in=parents)
    last_row = 0
    while page := list(
        records.filter(row__gt=last_row).values_list("row", "identifier", "action", "upload_outcome")[:PAGE_SIZE]
    ):
        rows: dict[str, list[tuple[int, str]]] = {}
        for row, identifier, action, outcome in page:
            if identifier and action == Action.CREATE and (outcome in TO_SEND or not to_send):
                rows.setdefault(comparable(identifier), []).append((row, identifier))
        found = (
            others.filter(identifier_in(own for same in rows.values() for _, own in same)) if rows else others.none()
        )
        yield from sorted(
            DuplicateRecord(own_row, own, bid, row, _state(upload, ingest))
            for identifier, bid, row, upload, ingest in found.values_list(
                "identifier", "batch__bid", "row", "upload_outcome", "ingest_outcome"
            )
            for own_row, own in rows.get(comparable(identifier or ""), ())
        )
        last_row = page[-1][0]


def check_duplicates(batch: Batch) -> DuplicateSummary:
    """Looks for duplicates of the records to send, and stores their number and the time on the batch."""
    summary, last_row = DuplicateSummary(), 0
    for duplicate in find_duplicates(batch, to_send=True):
        summary.records += duplicate.row != last_row
        last_row = duplicate.row
        if len(summary.examples) < MAX_EXAMPLES:
            summary.examples.append(duplicate)
    batch.record_duplicates(summary.records, timezone.now())
    return summary


def duplicate_lines(batch: Batch, summary: DuplicateSummary) -> Iterator[str]:
    """Lines for a terminal."""
    records = pluralize(summary.records, "record")
    yield f"{records} of {batch} would be created twice: other batches of {batch.rectype} also create them:"
    yield from (f"  {duplicate}" for duplicate in summary.examples)
    if summary.records > len(summary.examples):
        yield f"  … to list all: manage.py batch duplicates {batch}"


def late_ingest_notes(batch: Batch) -> Iterator[str]:
    """A line for each batch that it corrects whose failed records are still in the bucket: both could be created."""
    waiting = BatchRecord.objects.filter(OBJECT_REMAINS)
    for parent in Batch.objects.filter(corrections__child=batch).order_by("pk"):
        if number := waiting.filter(batch=parent).count():
            yield (
                f"{pluralize(number, 'failed record')} of {parent}, which {batch} corrects, still in the bucket: what is ingested"
                f" late is created twice. To delete them first: manage.py batch clear {parent}"
            )


def _state(upload: str, ingest: str | None) -> str:
    if ingest == IngestOutcome.SUCCESS:
        return "ingested"
    if ingest == IngestOutcome.FAILURE and upload == UploadOutcome.SUCCESS:
        return "failed to ingest and still in the bucket"
    return UploadOutcome(upload).label if upload != UploadOutcome.SUCCESS else "uploaded"
