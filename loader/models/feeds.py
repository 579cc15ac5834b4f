"""Server and Feed: a store that is loaded into a server."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from core.fields import BytewiseCharField, MessageField
from loader.choices import FEED_STATE_COLOURS, CircuitKind, FeedState, SampleIdRule
from loader.fasta.names import DEFAULT_ENDINGS, NameRules, parse_endings
from loader.fasta.validation import FastaRules

URL_LENGTH = 512
TEXT_LENGTH = 1000
NAME_LENGTH = 1024
DIGEST_LENGTH = 32


def validate_endings(text: str) -> None:
    """A validator of `endings`."""
    try:
        parse_endings(text)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class Server(models.Model):
    """One findNeighbour4 server, and the owner of its lease."""

    identity = BytewiseCharField(
        max_length=URL_LENGTH,
        unique=True,
        help_text="Normalised URL; for a loopback address with the name of the host.",
    )
    url = BytewiseCharField(max_length=URL_LENGTH, help_text="URL of its REST API, without a slash at the end.")
    fence = models.BigIntegerField(
        default=0, help_text="Grows with each change of the lease; owners with an older number may not write."
    )
    lease_token = models.CharField(
        max_length=64, blank=True, default="", help_text="Token of the owner; empty: no owner."
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
        null=True, blank=True, help_text="When another loader may take over (database's clock)."
    )
    wanted_at = models.DateTimeField(
        null=True, blank=True, help_text="When another loader last asked for the lease (database's clock)."
    )
    taken_over_at = models.DateTimeField(
        null=True, blank=True, help_text="When the lease was last taken over from an owner that had not released it."
    )
    taken_over_from = MessageField(max_length=300, blank=True, null=True, help_text="Process and host of that owner.")
    circuit_open_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when the server has been unavailable."
    )
    circuit_kind = models.CharField(
        max_length=10, choices=CircuitKind.choices, blank=True, default="", help_text="What kind of trouble it has."
    )
    circuit_reason = MessageField(max_length=TEXT_LENGTH, blank=True, default="", help_text="Why it is unavailable.")
    job_queued_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the next job was queued; empty: none is (database's clock).",
    )
    number_in_server = models.IntegerField(null=True, blank=True, help_text="Samples in the server when last counted.")
    counted_at = models.DateTimeField(null=True, blank=True, help_text="When its samples were last counted.")
    shrunk_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was found to hold fewer samples than before; empty: it does not."
    )
    shrunk_note = MessageField(max_length=TEXT_LENGTH, blank=True, default="", help_text="How many it lost.")
    invalid_in_server = models.IntegerField(
        null=True, blank=True, help_text="Samples with too many N to be compared, when last asked."
    )
    invalid_asked_at_number = models.IntegerField(
        null=True, blank=True, help_text="Samples in the server when it was last asked for them."
    )
    asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When its engine was last asked about itself: at most once a minute."
    )
    name = models.CharField(max_length=200, blank=True, default="", help_text="What it calls itself.")
    version = models.CharField(max_length=200, blank=True, default="", help_text="Version of its engine.")
    reference_length = models.PositiveIntegerField(
        null=True, blank=True, help_text="Letters of its reference; a sequence of another length is refused."
    )
    max_unknown = models.PositiveIntegerField(
        null=True, blank=True, help_text="Letters N up to which a sample is compared with others."
    )
    engine_samples = models.IntegerField(
        null=True, blank=True, help_text="Samples in its engine; its database also holds those with too many N."
    )

    def __str__(self) -> str:
        return self.identity


class Feed(models.Model):
    """One bucket that is loaded into one server."""

    name = models.SlugField(max_length=60, unique=True, help_text="Short name; FN4_AUTH_<NAME> is its password.")
    server = models.ForeignKey(Server, models.PROTECT, related_name="feeds", help_text="The server that it loads.")
    store_url = BytewiseCharField(max_length=1500, help_text="URL of its store: oci://bucket@namespace[/prefix].")
    store_digest = models.CharField(max_length=DIGEST_LENGTH, editable=False, help_text="Digest of the store's URL.")
    header_prefix = models.CharField(
        max_length=100,
        default="GPAS_SP3|",
        blank=True,
        help_text="Text before the sample id in a FASTA header; may be empty.",
    )
    strict_ids = models.BooleanField(
        default=True,
        help_text="Reject a record whose id differs from the file name. Off: load it under the id of the record.",
    )
    sample_id_rule = models.CharField(
        "sample id",
        max_length=10,
        choices=SampleIdRule.choices,
        default=SampleIdRule.FIRST_DOT,
        help_text="Which part of a file name is the sample id: of s1.2.fasta, s1 or s1.2.",
    )
    endings = models.CharField(
        max_length=200,
        default=DEFAULT_ENDINGS,
        validators=[validate_endings],
        help_text="Endings of FASTA files, each also with .gz behind it. Files with other endings are left out.",
    )
    rna_as_dna = models.BooleanField(
        "RNA as DNA", default=False, help_text="Load U as T. Off: files with a U are rejected."
    )
    plus_in_ids = models.BooleanField(
        "plus in ids",
        default=False,
        help_text="Send ids with a +. Only for servers whose engine is of the old build: newer ones take it for a space.",
    )
    interval = models.PositiveIntegerField(
        default=180,
        validators=[MinValueValidator(1)],
        help_text="Seconds between two scans of a bucket with nothing to load.",
    )
    largest = models.BigIntegerField(
        default=100_000_000, validators=[MinValueValidator(1)], help_text="Bytes; larger files are rejected."
    )
    scheduled = models.BooleanField(default=False, help_text="Also loaded by background jobs.")
    next_look_at = models.DateTimeField(
        null=True, blank=True, help_text="When the background jobs continue; empty: at once (database's clock)."
    )
    refusals_limit = models.PositiveIntegerField(
        default=10,
        help_text="The feed pauses after this many refusals by the server in a row; 0: never.",
    )
    refusals_in_row = models.PositiveIntegerField(
        default=0, editable=False, help_text="Refusals by the server since the last success."
    )
    oldest_limit = models.PositiveIntegerField(
        default=3600,
        validators=[MinValueValidator(1)],
        help_text="Seconds that a file may wait before fnstatus and the overview warn.",
    )
    running_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when an fnload without --once loads it; empty: stopped."
    )
    running_interval = models.FloatField(null=True, blank=True, help_text="Seconds: the --interval of that fnload.")
    paused_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when nothing is loaded; empty: not paused."
    )
    pause_reason = MessageField(max_length=TEXT_LENGTH, blank=True, default="", help_text="Why it was paused.")
    created_at = models.DateTimeField(auto_now_add=True, help_text="When the feed was added.")
    checked_at = models.DateTimeField(null=True, blank=True, help_text="When its bucket was last scanned.")
    left_out = models.JSONField(
        null=True, blank=True, editable=False, help_text="Objects that the last scan left out, by ending."
    )

    reconciled_at = models.DateTimeField(
        null=True, blank=True, help_text="When bucket, ledger and server were last compared by the nightly job."
    )
    reconcile_lost = models.PositiveIntegerField(
        default=0, help_text="Loaded samples that were missing from the server then."
    )
    reconcile_said = MessageField(
        max_length=TEXT_LENGTH, blank=True, default="", help_text="Summary of that comparison."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["server", "store_digest"], name="loader_feed_once_per_server")]
        permissions = [("set_addresses", "May set addresses of servers and stores")]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> FeedState:
        """The same as `feeds_with_state` computes."""
        if self.paused_at:
            return FeedState.PAUSED
        if self.server.circuit_open_since:
            return FeedState.UNAVAILABLE
        return FeedState.OK if self.checked_at else FeedState.NEVER_CHECKED

    @property
    def name_rules(self) -> NameRules:
        """How the names of its objects are read."""
        return NameRules(parse_endings(self.endings), self.sample_id_rule == SampleIdRule.FIRST_DOT)

    @property
    def fasta_rules(self) -> FastaRules:
        """How its files are read."""
        return FastaRules(
            self.header_prefix, self.strict_ids, self.rna_as_dna, self.name_rules, plus_in_ids=self.plus_in_ids
        )

    @property
    def colour(self) -> str:
        """Of its state."""
        return FEED_STATE_COLOURS[self.state]

    def get_stands_display(self) -> str:
        """The label of its state, for tables and templates."""
        return str(self.state.label)
