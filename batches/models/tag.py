"""BatchTag: a word that users group batches by, such as a client or a project."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.fields import BytewiseCharField

MAX_TAG_LENGTH = 50


class BatchTag(models.Model):
    """One tag of one batch."""

    batch = models.ForeignKey(
        # The unique constraint below begins with it.
        "batches.Batch",
        models.CASCADE,
        related_name="tags",
        db_index=False,
        help_text="Tagged batch.",
    )
    name = BytewiseCharField(max_length=MAX_TAG_LENGTH, help_text="Tag, such as a client or a project.")

    class Meta:
        verbose_name = "tag"
        constraints = [
            models.UniqueConstraint(fields=["batch", "name"], name="batches_tag_once"),
            models.CheckConstraint(condition=~Q(name=""), name="batches_tag_has_name"),
        ]
        indexes = [
            # The batches with a tag, and the tags that there are.
            models.Index(fields=["name", "batch"], name="batches_tag_by_name"),
        ]

    def __str__(self) -> str:
        return self.name
