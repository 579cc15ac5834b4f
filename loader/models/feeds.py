"""Server and Feed: what is fed from where."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from core.fields import BytewiseCharField

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
