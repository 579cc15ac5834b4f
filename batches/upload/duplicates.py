"""Identifiers that would be created twice: they stand in several batches of one record type and action CREATE.

Within a batch no identifier stands twice: `batch add` and `batch import` refuse that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from django.utils import timezone

from batches.choices import TO_SEND, Action, IngestOutcome, UploadOutcome
from batches.models import Batch, BatchRecord
from core.formatting import pluralize, printable

PAGE = 500
NAMED = 20
NEVER_CREATED = (UploadOutcome.SKIP, UploadOutcome.CLEARED)
"""Records that are in no bucket, and that no upload sends: they are nobody's duplicate."""


class DuplicateRecord(NamedTuple):
    """A record, and one of another batch with the same identifier."""

    row: int
    identifier: str
    other: str
    """The id of the other batch."""
    other_row: int
    state: str
    """What became of the other record."""

    def __str__(self) -> str:
        return (
            f"row {self.row}: {printable(self.identifier)} is in {self.other}, too (row {self.other_row}, {self.state})"
        )


@dataclass
class DuplicateSummary:
    """How many records have one, and the first of them."""

    records: int = 0
    named: list[DuplicateRecord] = field(default_factory=list)


def find_duplicates(batch: Batch, *, to_send: bool = False) -> Iterator[DuplicateRecord]:
    """Every duplicate, in the order of the batch's rows; `to_send`: only of records that an upload would send now."""
    records = BatchRecord.objects.filter(batch=batch).order_by("row")
    wanted = ("row", "identifier", "action", "upload_outcome")
    last = 0
    while page := list(records.filter(row__gt=last).values_list(*wanted)[:PAGE]):
        rows = {
            identifier: row
            for row, identifier, action, outcome in page
            if identifier and action == Action.CREATE and (outcome in TO_SEND or not to_send)
        }
        if rows:
            yield from sorted(_others(batch, rows))
        last = page[-1][0]


def check_duplicates(batch: Batch) -> DuplicateSummary:
    """Looks for them among the records that are to be sent, and writes how many and when on the batch."""
    found, last = DuplicateSummary(), 0
    for one in find_duplicates(batch, to_send=True):
        found.records += one.row != last
        last = one.row
        if len(found.named) < NAMED:
            found.named.append(one)
    batch.record_duplicates(found.records, timezone.now())
    return found


def duplicate_lines(batch: Batch, found: DuplicateSummary) -> Iterator[str]:
    """What there is to say of them."""
    records = pluralize(found.records, "record")
    yield f"{records} of {batch} would be created twice, for other batches of {batch.rectype} create them:"
    yield from (f"  {one}" for one in found.named)
    if found.records > len(found.named):
        yield f"  … `manage.py batch duplicates {batch}` names them all"


def _others(batch: Batch, rows: dict[str, int]) -> Iterator[DuplicateRecord]:
    others = BatchRecord.objects.filter(identifier__in=rows, action=Action.CREATE, batch__rectype=batch.rectype)
    others = others.exclude(batch=batch).exclude(upload_outcome__in=NEVER_CREATED)
    wanted = ("identifier", "batch__bid", "row", "upload_outcome", "ingest_outcome")
    for identifier, bid, row, upload, ingest in others.values_list(*wanted).order_by():
        if identifier:
            yield DuplicateRecord(rows[identifier], identifier, bid, row, _state(upload, ingest))


def _state(upload: str, ingest: str | None) -> str:
    if ingest == IngestOutcome.SUCCESS:
        return "ingested"
    if ingest == IngestOutcome.FAILURE and upload == UploadOutcome.SUCCESS:
        return "failed in the ingest, and left in the bucket"
    return UploadOutcome(upload).label if upload != UploadOutcome.SUCCESS else "uploaded"
