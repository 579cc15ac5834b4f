"""What is fed from where (Feed, Server), what was seen (BucketObject), and what was tried (BatchLoad, LoadAttempt).

`fn4batchload` and `fn4loadattempt` are the tables that loaders of this kind have always written (domain.md 4): names
and meanings of their old columns stay, and everything that fnloader adds to them may be NULL.
"""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from core.fields import BytewiseCharField
from loader.findings import Finding
from loader.tallies import Tally, TallyMark

__all__ = [
    "DIGEST_LENGTH",
    "NAME_LENGTH",
    "TEXT_LENGTH",
    "URL_LENGTH",
    "BatchLoad",
    "BucketObject",
    "Feed",
    "Finding",
    "LoadAttempt",
    "Outcome",
    "Result",
    "Server",
    "State",
    "Tally",
    "TallyMark",
]

URL_LENGTH = 512
TEXT_LENGTH = 1000
NAME_LENGTH = 1024
DIGEST_LENGTH = 32


class Server(models.Model):
    """One findNeighbour4 server, and who may insert into it at the moment."""

    identity = BytewiseCharField(
        max_length=URL_LENGTH,
        unique=True,
        help_text="The normalised URL; for a loopback address with the host that means itself by it.",
    )
    url = BytewiseCharField(max_length=URL_LENGTH, help_text="Where its REST API is, without a slash at the end.")
    fence = models.BigIntegerField(
        default=0, help_text="Grows with each change of the lease: an older number may not write."
    )
    lease_token = models.CharField(
        max_length=64, blank=True, default="", help_text="Who may insert now; empty: nobody."
    )
    lease_host = models.CharField(max_length=255, blank=True, default="", help_text="HOST_NAME of the owner.")
    lease_pid = models.IntegerField(null=True, blank=True, help_text="Process id of the owner on its host.")
    lease_process = models.CharField(
        max_length=255, blank=True, default="", help_text="Boot, process namespace and start of the owner's process."
    )
    lease_heartbeat = models.DateTimeField(
        null=True, blank=True, help_text="When the owner last renewed (database's clock)."
    )
    lease_expires = models.DateTimeField(
        null=True, blank=True, help_text="When others may take over (database's clock)."
    )
    wanted_at = models.DateTimeField(
        null=True, blank=True, help_text="When somebody else last asked for the lease in vain (database's clock)."
    )
    taken_over_at = models.DateTimeField(
        null=True, blank=True, help_text="When the lease was last taken over from an owner that had not given it back."
    )
    taken_over_from = models.CharField(max_length=300, blank=True, null=True, help_text="Who that owner was.")
    circuit_open_since = models.DateTimeField(null=True, blank=True, help_text="Since when the server has been away.")
    circuit_reason = models.CharField(
        max_length=TEXT_LENGTH, blank=True, default="", help_text="How we know that it is away."
    )
    job_queued_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When a job was queued that is to load next; empty: none is (database's clock).",
    )
    number_in_server = models.IntegerField(null=True, blank=True, help_text="Samples that it held when last counted.")
    counted_at = models.DateTimeField(null=True, blank=True, help_text="When its samples were last counted.")

    def __str__(self) -> str:
        return self.identity


class Feed(models.Model):
    """One bucket that is loaded into one server."""

    name = models.SlugField(max_length=60, unique=True, help_text="A short name; FN4_AUTH_<NAME> holds its password.")
    server = models.ForeignKey(Server, models.PROTECT, related_name="feeds", help_text="Where its samples go.")
    store_url = BytewiseCharField(max_length=1500, help_text="Where its files are: oci://bucket@namespace[/prefix].")
    store_digest = models.CharField(max_length=DIGEST_LENGTH, editable=False, help_text="Digest of the store's URL.")
    header_prefix = models.CharField(
        max_length=100,
        default="GPAS_SP3|",
        blank=True,
        help_text="What stands before the sample id in a FASTA header; may be empty.",
    )
    strict_ids = models.BooleanField(
        default=True,
        help_text="Reject a record whose id is not the file's name. Off: it is loaded under the record's id.",
    )
    interval = models.PositiveIntegerField(
        default=180,
        validators=[MinValueValidator(1)],
        help_text="Seconds between two looks at a bucket with nothing to load.",
    )
    largest = models.BigIntegerField(
        default=100_000_000, validators=[MinValueValidator(1)], help_text="Bytes; a larger file is rejected unread."
    )
    scheduled = models.BooleanField(default=False, help_text="Loaded by the background jobs, too.")
    next_look_at = models.DateTimeField(
        null=True, blank=True, help_text="When the background jobs go on with it; empty: at once (database's clock)."
    )
    refusals_limit = models.PositiveIntegerField(
        default=10,
        help_text="After so many refusals of the server in a row, with no success between, the feed pauses; 0: never.",
    )
    refusals_in_row = models.PositiveIntegerField(
        default=0, editable=False, help_text="Refusals of the server since its last success."
    )
    oldest_limit = models.PositiveIntegerField(
        default=3600,
        validators=[MinValueValidator(1)],
        help_text="Seconds that a file may wait before fnstatus and the overview say so.",
    )
    running_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when an fnload without --once feeds it; empty: it was told to stop."
    )
    running_interval = models.FloatField(null=True, blank=True, help_text="Seconds: the --interval of that fnload.")
    paused_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when nothing is loaded; empty: not paused."
    )
    pause_reason = models.CharField(max_length=TEXT_LENGTH, blank=True, default="", help_text="Why it was paused.")
    created_at = models.DateTimeField(auto_now_add=True, help_text="When the feed was made.")
    checked_at = models.DateTimeField(null=True, blank=True, help_text="When its bucket was last listed to the end.")

    reconciled_at = models.DateTimeField(
        null=True, blank=True, help_text="When bucket, ledger and server were last compared by the nightly job."
    )
    reconcile_lost = models.PositiveIntegerField(
        default=0, help_text="Loaded samples that the server did not hold then."
    )
    reconcile_said = models.CharField(
        max_length=TEXT_LENGTH, blank=True, default="", help_text="What that comparison found, in numbers."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["server", "store_digest"], name="loader_feed_once_per_server")]

    def __str__(self) -> str:
        return self.name


class State(models.TextChoices):
    """Where one version of one object stands."""

    WAITING = "waiting", "Waiting"
    LOADING = "loading", "Loading"
    LOADED = "loaded", "Loaded"
    REJECTED = "rejected", "Rejected"
    GONE = "gone", "Gone"


class Result(models.TextChoices):
    """How a loaded sample came to be in the server."""

    INSERTED = "inserted", "Inserted by us"
    FOUND = "found", "Sent by us, found in the server after an unclear answer"
    SAME = "same", "Already there, same sequence"
    PRESENT = "present", "Present before, not compared"
    CONFLICTING = "conflicting", "The server keeps another sequence"


class BucketObject(models.Model):
    """One version of one object seen in a feed's bucket: the ledger. What is done stays here for ever."""

    # No index of its own: loader_object_by_feed begins with it.
    feed = models.ForeignKey(
        Feed, models.PROTECT, related_name="objects_seen", db_index=False, help_text="The feed whose bucket it is in."
    )
    name = BytewiseCharField(max_length=NAME_LENGTH, help_text="Name in the bucket.")
    version = models.CharField(max_length=DIGEST_LENGTH, editable=False, help_text="Digest of name and etag.")
    etag = models.CharField(max_length=255, help_text="The store's tag of this version.")
    size = models.BigIntegerField(help_text="Bytes.")
    md5 = models.CharField(
        max_length=32, blank=True, default="", help_text="MD5 of the content as listed, hexadecimal."
    )
    created = models.DateTimeField(help_text="When this version was written to the bucket (else: first seen).")
    first_seen = models.DateTimeField(help_text="When a listing first showed it.")
    seqid = BytewiseCharField(max_length=255, help_text="Sample id: the file's name up to its first dot.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING, help_text="Where it stands.")
    tries = models.PositiveIntegerField(default=0, help_text="Tries that failed and count against this object.")
    not_before = models.DateTimeField(null=True, blank=True, help_text="When it is tried again; empty: at once.")
    reason = models.CharField(max_length=TEXT_LENGTH, blank=True, default="", help_text="Why it is not loaded (yet).")
    guid = BytewiseCharField(max_length=64, blank=True, default="", help_text="Id under which it was sent.")
    seq_digest = models.CharField(
        max_length=DIGEST_LENGTH, blank=True, default="", help_text="Digest of the sequence sent."
    )
    result = models.CharField(
        max_length=12, choices=Result.choices, blank=True, default="", help_text="How it came in."
    )
    done_at = models.DateTimeField(null=True, blank=True, help_text="When it was loaded, rejected or found gone.")
    acknowledged_at = models.DateTimeField(
        null=True, blank=True, help_text="When somebody took note that it is rejected."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["feed", "version"], name="loader_object_once"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="loader_object_state"),
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
            # The overview, fnstatus and the list of feeds: what is rejected and nobody took note of, by feed.
            models.Index(
                fields=["feed", "first_seen"],
                condition=Q(state="rejected", acknowledged_at__isnull=True),
                name="loader_object_rejected",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class BatchLoad(models.Model):
    """One row each time a feed's bucket is analysed, also when nothing was found (domain.md 4)."""

    bl_int_id = models.BigAutoField(primary_key=True, help_text="Key.")
    host_name = models.CharField(max_length=255, null=True, blank=True, help_text="Who looked.")
    findneighbour_server_url = BytewiseCharField(
        max_length=URL_LENGTH, null=True, blank=True, help_text="The server fed."
    )
    check_time = models.DateTimeField(null=True, blank=True, help_text="When the bucket was analysed.")
    batch_size = models.IntegerField(null=True, blank=True, help_text="Samples that were due.")
    number_in_server = models.IntegerField(
        null=True, blank=True, help_text="Samples in the server then; empty: not counted."
    )
    feed = models.ForeignKey(Feed, models.SET_NULL, null=True, blank=True, help_text="The feed; empty in adopted rows.")
    listed = models.IntegerField(null=True, blank=True, help_text="Objects in the bucket.")
    ignored = models.IntegerField(null=True, blank=True, help_text="Objects whose names are no FASTA file's.")
    found = models.IntegerField(null=True, blank=True, help_text="Objects not seen before.")
    finished = models.DateTimeField(
        null=True, blank=True, help_text="When all that was due had been tried; empty: not yet."
    )

    class Meta:
        db_table = "fn4batchload"
        indexes = [
            # When did anybody last look? (the reference text's monitoring SQL)
            models.Index(fields=["check_time"], name="ix_fn4batchload_check_time"),
            models.Index(fields=["findneighbour_server_url"], name="ix_fn4batchload_url"),
            models.Index(fields=["host_name"], name="ix_fn4batchload_host_name"),
            # A feed's page: how full its server was; and the list of a feed's batch loads.
            models.Index(fields=["feed", "check_time"], name="ix_fn4batchload_feed_time"),
        ]

    def __str__(self) -> str:
        return f"{self.batch_size} due at {self.check_time}"


class Outcome(models.TextChoices):
    """How an attempt ended. Adopted rows of the old loader have none."""

    OPEN = "open", "Not closed yet"
    INSERTED = "inserted", "Inserted"
    PRESENT = "present", "Already in the server"
    FOUND = "found", "No clear answer, found in the server afterwards"
    REJECTED = "rejected", "Can't be loaded"
    FAILED = "failed", "Failed, to be tried again"
    NOT_SENT = "not_sent", "Never sent"


class LoadAttempt(models.Model):
    """One attempt to load one object. Without an `insert_start_time` nothing was ever sent (design.md, promise 4)."""

    gp_int_id = models.BigAutoField(primary_key=True, help_text="Key.")
    host_name = models.CharField(max_length=255, null=True, blank=True, help_text="Who tried.")
    findneighbour_server_url = BytewiseCharField(
        max_length=URL_LENGTH, null=True, blank=True, help_text="The server fed."
    )
    parse_status = models.CharField(
        max_length=TEXT_LENGTH, null=True, blank=True, help_text="Success, or Failed and why."
    )
    batch_start_time = models.DateTimeField(null=True, blank=True, help_text="When the batch was analysed.")
    batch_size = models.IntegerField(null=True, blank=True, help_text="Samples in the batch.")
    batch_sample_number = models.IntegerField(null=True, blank=True, help_text="Place in the batch, from 1.")
    seqid = BytewiseCharField(
        max_length=255, null=True, blank=True, help_text="Sample id: the file's name up to its first dot."
    )
    file_name = BytewiseCharField(max_length=NAME_LENGTH, null=True, blank=True, help_text="Name in the bucket.")
    len_seq = models.IntegerField(null=True, blank=True, help_text="Letters of the sequence.")
    first_128_chars = models.CharField(max_length=128, null=True, blank=True, help_text="How the file begins.")
    bucket_read_start_time = models.DateTimeField(null=True, blank=True, help_text="When the download began.")
    bucket_read_end_time = models.DateTimeField(null=True, blank=True, help_text="When the download ended.")
    fn4id = BytewiseCharField(
        max_length=255, null=True, blank=True, help_text="Id in the FASTA header, inserted as guid."
    )
    insert_start_time = models.DateTimeField(
        null=True, blank=True, help_text="When the request was begun; empty: never sent."
    )
    insert_end_time = models.DateTimeField(null=True, blank=True, help_text="When the server's answer came.")
    insert_status_code = models.IntegerField(
        null=True, blank=True, help_text="HTTP status of the answer; empty: none came."
    )
    completed = models.IntegerField(null=True, blank=True, help_text="1: done with for ever. 0: to be tried again.")
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
    fence = models.BigIntegerField(null=True, blank=True, help_text="The lease under which it was opened.")
    seq_digest = models.CharField(max_length=DIGEST_LENGTH, null=True, blank=True, help_text="Digest of the sequence.")
    outcome = models.CharField(max_length=10, choices=Outcome.choices, null=True, blank=True, help_text="How it ended.")
    message = models.CharField(max_length=TEXT_LENGTH, null=True, blank=True, help_text="What was the matter.")
    lock_waits = models.IntegerField(
        null=True, blank=True, help_text="How often the server said that it was busy (409)."
    )

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
