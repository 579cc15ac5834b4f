"""BatchLoad and LoadAttempt: the tables that loaders of this kind have always written (domain.md 4).

Names and meanings of the old columns are fixed; columns that fnloader adds may be NULL.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.fields import BytewiseCharField, MessageField
from loader.choices import OUTCOME_COLOURS, AttemptOutcome
from loader.fn4.responses import IN_SERVER
from loader.models.feeds import DIGEST_LENGTH, NAME_LENGTH, TEXT_LENGTH, URL_LENGTH, Feed, Server
from loader.models.objects import BucketObject


class BatchLoad(models.Model):
    """One row for each scan of a feed's bucket, also when nothing was found (domain.md 4)."""

    bl_int_id = models.BigAutoField(primary_key=True, help_text="Key.")
    host_name = models.CharField(max_length=255, null=True, blank=True, help_text="Host of the loader.")
    findneighbour_server_url = BytewiseCharField(
        max_length=URL_LENGTH, null=True, blank=True, help_text="URL of the server."
    )
    check_time = models.DateTimeField(null=True, blank=True, help_text="When the bucket was scanned.")
    batch_size = models.IntegerField(null=True, blank=True, help_text="Samples that were due.")
    number_in_server = models.IntegerField(
        null=True, blank=True, help_text="Samples in the server; empty: not counted."
    )
    feed = models.ForeignKey(Feed, models.SET_NULL, null=True, blank=True, help_text="The feed; empty in adopted rows.")
    listed = models.IntegerField(null=True, blank=True, help_text="Objects in the bucket.")
    ignored = models.IntegerField(null=True, blank=True, help_text="Objects that are not FASTA files.")
    found = models.IntegerField(null=True, blank=True, help_text="Objects not seen before.")
    finished = models.DateTimeField(
        null=True, blank=True, help_text="When all due samples had been tried; empty: not yet."
    )

    class Meta:
        db_table = "fn4batchload"
        indexes = [
            # When was the last scan? (the reference text's monitoring SQL)
            models.Index(fields=["check_time"], name="ix_fn4batchload_check_time"),
            models.Index(fields=["findneighbour_server_url"], name="ix_fn4batchload_url"),
            models.Index(fields=["host_name"], name="ix_fn4batchload_host_name"),
            # A feed's page: how full its server was; and the list of a feed's batch loads.
            models.Index(fields=["feed", "check_time"], name="ix_fn4batchload_feed_time"),
        ]

    def __str__(self) -> str:
        return f"{self.batch_size} due at {self.check_time}"


class LoadAttempt(models.Model):
    """One attempt to load one object. Without an `insert_start_time` nothing was sent (design.md, promise 4)."""

    gp_int_id = models.BigAutoField(primary_key=True, help_text="Key.")
    host_name = models.CharField(max_length=255, null=True, blank=True, help_text="Host of the loader.")
    findneighbour_server_url = BytewiseCharField(
        max_length=URL_LENGTH, null=True, blank=True, help_text="URL of the server."
    )
    parse_status = MessageField(
        max_length=TEXT_LENGTH, null=True, blank=True, help_text="Success, or Failed with the reason."
    )
    batch_start_time = models.DateTimeField(null=True, blank=True, help_text="When the bucket was scanned.")
    batch_size = models.IntegerField(null=True, blank=True, help_text="Samples in the batch.")
    batch_sample_number = models.IntegerField(null=True, blank=True, help_text="Place in the batch, from 1.")
    seqid = BytewiseCharField(max_length=255, null=True, blank=True, help_text="Sample id: what the file's name says.")
    file_name = BytewiseCharField(max_length=NAME_LENGTH, null=True, blank=True, help_text="Name in the bucket.")
    len_seq = models.IntegerField(null=True, blank=True, help_text="Length of the sequence.")
    first_128_chars = models.CharField(
        max_length=128, null=True, blank=True, help_text="First 128 characters of the file."
    )
    bucket_read_start_time = models.DateTimeField(null=True, blank=True, help_text="When the download began.")
    bucket_read_end_time = models.DateTimeField(null=True, blank=True, help_text="When the download ended.")
    fn4id = BytewiseCharField(
        max_length=255, null=True, blank=True, help_text="Id in the FASTA header, inserted as guid."
    )
    insert_start_time = models.DateTimeField(
        null=True, blank=True, help_text="When the request was sent; empty: never."
    )
    insert_end_time = models.DateTimeField(null=True, blank=True, help_text="When the server's answer came.")
    insert_status_code = models.IntegerField(
        null=True, blank=True, help_text="HTTP status of the answer; empty: no answer."
    )
    completed = models.IntegerField(null=True, blank=True, help_text="1: final. 0: will retry.")
    feed = models.ForeignKey(Feed, models.SET_NULL, null=True, blank=True, help_text="The feed; empty in adopted rows.")
    server = models.ForeignKey(
        Server, models.SET_NULL, null=True, blank=True, db_index=False, help_text="The server; empty in adopted rows."
    )
    bucket_object = models.ForeignKey(
        BucketObject, models.SET_NULL, null=True, blank=True, related_name="attempts", help_text="The version tried."
    )
    batch_load = models.ForeignKey(
        BatchLoad, models.SET_NULL, null=True, blank=True, help_text="The batch it belongs to."
    )
    fence = models.BigIntegerField(null=True, blank=True, help_text="Fence of the lease under which it was opened.")
    seq_digest = models.CharField(max_length=DIGEST_LENGTH, null=True, blank=True, help_text="Digest of the sequence.")
    outcome = models.CharField(
        max_length=10, choices=AttemptOutcome.choices, null=True, blank=True, help_text="Outcome."
    )
    message = MessageField(max_length=TEXT_LENGTH, null=True, blank=True, help_text="Error.")
    lock_waits = models.IntegerField(null=True, blank=True, help_text="Number of 409 answers (server busy).")

    class Meta:
        db_table = "fn4loadattempt"
        constraints = [
            models.CheckConstraint(
                condition=Q(completed__isnull=True) | Q(completed__in=(0, 1)), name="fn4loadattempt_completed"
            ),
        ]
        indexes = [
            # What the old loader asked, and users' SQL still does.
            models.Index(fields=["findneighbour_server_url", "host_name", "completed"], name="check_ix"),
            # Which attempts on this server are still open?
            models.Index(fields=["server", "outcome"], name="ix_fn4loadattempt_open"),
            # When did an insert last succeed? (the reference text's monitoring SQL)
            models.Index(fields=["insert_status_code", "insert_start_time"], name="ix_fn4loadattempt_status"),
            # Where is my sample? By its file (whose name up to the first dot this is), and by its id in the server, if
            # that is another.
            models.Index(fields=["seqid"], name="ix_fn4loadattempt_seqid"),
            models.Index(fields=["fn4id", "seqid"], name="ix_fn4loadattempt_fn4id"),
            # Has an older loader tried this file? Only its rows have no outcome.
            models.Index(
                fields=["outcome", "file_name"],
                condition=Q(outcome__isnull=True),
                name="ix_fn4loadattempt_adopted_file",
            ),
            # A feed's page: its attempts over time; the list of feeds: the last hour. The list of attempts by time.
            # PostgreSQL keeps in it what these count, and reads no row for them.
            models.Index(
                fields=["feed", "bucket_read_start_time"],
                include=["outcome", "insert_status_code"],
                name="ix_fn4loadattempt_feed_read",
            ),
            models.Index(fields=["bucket_read_start_time"], name="ix_fn4loadattempt_read"),
            # The list of attempts, newest first: of one outcome, with one status, of one host, of one server's URL.
            models.Index(fields=["outcome", "gp_int_id"], name="ix_fn4loadattempt_outcome"),
            models.Index(fields=["insert_status_code", "gp_int_id"], name="ix_fn4loadattempt_answer"),
            models.Index(fields=["host_name", "gp_int_id"], name="ix_fn4loadattempt_host"),
            # The same: those whose file could not be parsed.
            models.Index(
                fields=["gp_int_id"],
                condition=~Q(parse_status="Success") & Q(parse_status__isnull=False),
                name="ix_fn4loadattempt_unparsed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.seqid} ({self.outcome or 'adopted'})"

    @property
    def in_server(self) -> bool:
        """Whether the server answered that it holds the sample."""
        return self.insert_status_code in IN_SERVER

    @property
    def colour(self) -> str:
        """Of its outcome; the old loader wrote none."""
        if self.outcome:
            return OUTCOME_COLOURS[self.outcome]
        return "green" if self.in_server else "grey"
