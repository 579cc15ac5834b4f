"""BucketObject: one version of one object seen in a feed's bucket."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.fields import BytewiseCharField, MessageField
from loader.choices import OBJECT_STATE_COLOURS, LoadResult, ObjectState
from loader.models.feeds import DIGEST_LENGTH, NAME_LENGTH, TEXT_LENGTH, Feed


class BucketObject(models.Model):
    """One version of one object seen in a feed's bucket: a row of the ledger."""

    # No index of its own: loader_object_by_feed begins with it.
    feed = models.ForeignKey(
        Feed, models.PROTECT, related_name="objects_seen", db_index=False, help_text="The feed whose bucket it is in."
    )
    name = BytewiseCharField(max_length=NAME_LENGTH, help_text="Name in the bucket.")
    version = models.CharField(max_length=DIGEST_LENGTH, editable=False, help_text="Digest of name and etag.")
    etag = models.CharField(max_length=255, help_text="The store's tag of this version.")
    size = models.BigIntegerField(help_text="Bytes.")
    md5 = models.CharField(max_length=32, blank=True, default="", help_text="Listed MD5 of the content, hexadecimal.")
    created = models.DateTimeField(help_text="When this version was written to the bucket.")
    first_seen = models.DateTimeField(help_text="When a scan first found it.")
    seqid = BytewiseCharField(max_length=255, help_text="Sample id: what the file's name says.")
    state = models.CharField(
        max_length=10, choices=ObjectState.choices, default=ObjectState.WAITING, help_text="State."
    )
    tries = models.PositiveIntegerField(default=0, help_text="Failed tries that delay the next one.")
    not_before = models.DateTimeField(null=True, blank=True, help_text="When it is retried; empty: at once.")
    read_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when it is read; stays if the process of its loader ended meanwhile."
    )
    reason = MessageField(max_length=TEXT_LENGTH, blank=True, default="", help_text="Why it is not loaded.")
    guid = BytewiseCharField(max_length=64, blank=True, default="", help_text="Id under which it was sent.")
    seq_digest = models.CharField(
        max_length=DIGEST_LENGTH, blank=True, default="", help_text="Digest of the sequence sent."
    )
    result = models.CharField(
        max_length=12, choices=LoadResult.choices, blank=True, default="", help_text="Result of loading."
    )
    done_at = models.DateTimeField(null=True, blank=True, help_text="When it was loaded, rejected or marked as gone.")
    acknowledged_at = models.DateTimeField(
        null=True, blank=True, help_text="When the rejection, or the unproven links, were acknowledged."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["feed", "version"], name="loader_object_once"),
            models.CheckConstraint(condition=Q(state__in=ObjectState.values), name="loader_object_state"),
            models.CheckConstraint(condition=Q(size__gte=0), name="loader_object_size"),
        ]
        indexes = [
            # What to load next: a feed's waiting objects, earliest created first.
            models.Index(fields=["feed", "state", "created", "id"], name="loader_object_next"),
            # Has this id been sent to the server before, and with which sequence? And which ids are not the file's?
            models.Index(fields=["guid", "seqid"], name="loader_object_guid"),
            # Where is my sample?
            models.Index(fields=["seqid"], name="loader_object_seqid"),
            # The list of files, newest first: all of a state; all of a feed.
            models.Index(fields=["state", "id"], name="loader_object_by_state"),
            models.Index(fields=["feed", "id"], name="loader_object_by_feed"),
            models.Index(fields=["id"], condition=Q(result="conflicting"), name="loader_object_conflicting"),
            # The same for those that are of no use, and of a feed's page by time.
            models.Index(fields=["feed", "done_at"], condition=Q(result="invalid"), name="loader_object_invalid"),
            # Concerns: stored samples whose links are unproven, by feed.
            models.Index(fields=["feed", "done_at"], condition=Q(result="unproven"), name="loader_object_unproven"),
            # The overview, fnstatus and the list of feeds: rejected files that are not acknowledged, by feed.
            models.Index(
                fields=["feed", "first_seen"],
                condition=Q(state="rejected", acknowledged_at__isnull=True),
                name="loader_object_rejected",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def colour(self) -> str:
        """Of its state."""
        return OBJECT_STATE_COLOURS[self.state]
