"""Tags of batches: a client, a project, or whatever else several batches have in common."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from batches.models import Batch, BatchTag
from batches.models.tag import MAX_TAG_LENGTH
from core.exceptions import OperationRefused


def tag_name(text: str) -> str:
    """The text as a tag: without spaces at its ends, and single ones inside. Raises OperationRefused for what is none."""
    name = " ".join(text.split())
    if not name or len(name) > MAX_TAG_LENGTH or "," in name or not name.isprintable():
        raise OperationRefused(
            f"{text!r} is not a tag: use 1 to {MAX_TAG_LENGTH} characters, no comma, and none that is invisible."
        )
    return name


def tags_of(batch: Batch) -> list[str]:
    """Its tags, sorted."""
    return list(BatchTag.objects.filter(batch=batch).order_by("name").values_list("name", flat=True))


@transaction.atomic
def add_tags(batch: Batch, names: Iterable[str]) -> None:
    """Adds tags that it does not have yet. Raises OperationRefused; then none is added."""
    for name in names:
        BatchTag.objects.get_or_create(batch=batch, name=tag_name(name))


def remove_tags(batch: Batch, names: Iterable[str]) -> None:
    """Removes tags that it has."""
    BatchTag.objects.filter(batch=batch, name__in=[tag_name(name) for name in names]).delete()


@transaction.atomic
def set_tags(batch: Batch, names: Iterable[str]) -> list[str]:
    """Makes these its tags, and returns them, sorted. Raises OperationRefused; then nothing changes."""
    wanted = sorted({tag_name(name) for name in names})
    BatchTag.objects.filter(batch=batch).exclude(name__in=wanted).delete()
    add_tags(batch, wanted)
    return wanted
