"""Which batch corrects which: stated by a user, and whatever follows from it (a correction of a correction)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q, QuerySet

from batches.corrections.identifiers import fill_identifiers, identifier_column
from batches.models import Batch, BatchRecord, Correction
from batches.querysets import identifier_in
from core.exceptions import OperationRefused


@transaction.atomic
def link_corrections(child: Batch, parents: Iterable[Batch]) -> None:
    """Records that `child` corrects each of `parents`. Raises OperationRefused for a batch of another record type, and for a
    circle; then nothing is written."""
    column = identifier_column(child)
    for parent in parents:
        if parent.rectype != child.rectype:
            raise OperationRefused(
                f"{child} can't correct {parent}: its record type is {child.rectype}, that of {parent} is {parent.rectype}."
            )
        if parent == child or Correction.objects.filter(parent=child, child=parent).exists():
            raise OperationRefused(f"{child} can't correct {parent}: {parent} corrects {child}, or is the same batch.")
        Correction.objects.update_or_create(parent=parent, child=child, defaults={"direct": True})
        fill_identifiers(parent, identifier_column(parent) or column)
        _complete()


@transaction.atomic
def unlink_correction(child: Batch, parent: Batch) -> None:
    """Takes one of them back. Raises OperationRefused if nobody stated it."""
    if not Correction.objects.filter(parent=parent, child=child, direct=True).delete()[0]:
        raise OperationRefused(f"{child} is not linked to {parent}. What it corrects: manage.py batch show {child}")
    _complete()


def corrected_batches(child: Batch) -> list[Batch]:
    """The batches that it was stated to correct."""
    return list(Batch.objects.filter(corrections__child=child, corrections__direct=True).order_by("pk"))


def linked_records(record: BatchRecord) -> QuerySet[BatchRecord]:
    """The records with its identifier in the batches that correct its own, and in those that its own corrects; in the order
    of their batches."""
    if not record.identifier:
        return BatchRecord.objects.none()
    later = Correction.objects.filter(parent=record.batch_id).values("child")
    earlier = Correction.objects.filter(child=record.batch_id).values("parent")
    linked = BatchRecord.objects.filter(Q(batch__in=later) | Q(batch__in=earlier), identifier_in([record.identifier]))
    return linked.select_related("batch").order_by("batch_id", "row")


def _complete() -> None:
    """Writes the links that follow from the stated ones, and deletes those that no longer do. All of them: there are few."""
    children: dict[int, set[int]] = defaultdict(set)
    for parent, child in Correction.objects.filter(direct=True).values_list("parent_id", "child_id"):
        children[parent].add(child)
    needed = {(parent, later) for parent in list(children) for later in _later(parent, children)}
    for link in Correction.objects.filter(direct=False):
        if (link.parent_id, link.child_id) not in needed:
            link.delete()
    missing = needed - set(Correction.objects.values_list("parent_id", "child_id"))
    Correction.objects.bulk_create(
        Correction(parent_id=parent, child_id=child, direct=False) for parent, child in sorted(missing)
    )


def _later(batch: int, children: dict[int, set[int]]) -> set[int]:
    """Batches that correct it, or correct one of those."""
    found: set[int] = set()
    waiting = [batch]
    while waiting:
        new = children.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found
