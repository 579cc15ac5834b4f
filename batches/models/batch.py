"""What was sent and what became of it: Batch; its records, steps and checks are beside it.

The columns are those of the batches CSV and of the step reports (domain.md 1), typed; NULL is unknown. A change of state
is a conditional UPDATE: the number of rows that it changed says who won.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from batches.choices import UPLOADABLE, Action, BatchStatus
from batches.keys import prefix
from batches.models.record import LONGEST_MESSAGE
from core.fields import BytewiseCharField

CLAIM_SECONDS = 60
"""An upload on another host that gave no sign for so long, by the database's clock, is taken for dead."""


class Batch(models.Model):
    """A set of records that is mapped, uploaded and ingested together."""

    bid = BytewiseCharField("id", max_length=6, unique=True, help_text="Batch id: 1 to 6 letters and digits.")
    status = models.CharField(
        max_length=10, choices=BatchStatus, default=BatchStatus.ADDED, help_text="How far the batch has come."
    )
    rectype = models.CharField(
        "record type", max_length=100, help_text="Record type of the mapping, e.g. collectionobject."
    )
    action = models.CharField(max_length=6, choices=Action, help_text="What the ingest does with its records.")
    mode = models.CharField(
        max_length=50, null=True, blank=True, help_text="Batch mode of the mapping (batch_mode), where it is known."
    )
    source_csv = models.CharField(
        max_length=1024, null=True, blank=True, help_text="The CSV that was mapped, where it is known."
    )
    folder = models.CharField(
        max_length=1024, null=True, blank=True, help_text="The batch folder (dir), on the machine where it was added."
    )
    source_columns = models.TextField(
        default="[]", help_text="Columns of the mapper's report in their order, as a JSON list."
    )
    record_count = models.PositiveIntegerField(null=True, blank=True, help_text="Records in the batch (rec_ct).")

    mapped_at = models.DateTimeField(null=True, blank=True, help_text="When it was mapped (mapped?).")
    map_oks = models.PositiveIntegerField(null=True, blank=True, help_text="Records that were mapped.")
    map_errs = models.PositiveIntegerField(null=True, blank=True, help_text="Records whose mapping failed.")
    map_warns = models.PositiveIntegerField(null=True, blank=True, help_text="Records mapped with warnings.")
    missing_terms = models.PositiveIntegerField(null=True, blank=True, help_text="Terms that the mapping missed.")

    duplicates_checked_at = models.DateTimeField(
        null=True, blank=True, help_text="When duplicates were last looked for (duplicates_checked?)."
    )
    duplicates = models.PositiveIntegerField(null=True, blank=True, help_text="Duplicates found.")

    store_url = models.CharField(
        max_length=2048, null=True, blank=True, help_text="Where it was uploaded to, and is looked for."
    )
    uploaded_at = models.DateTimeField(null=True, blank=True, help_text="When its upload ended (uploaded?).")
    upload_oks = models.PositiveIntegerField(null=True, blank=True, help_text="Records whose object was put.")
    upload_errs = models.PositiveIntegerField(
        null=True, blank=True, help_text="Records whose upload failed, could not begin, or ended unclearly."
    )
    upload_runs = models.PositiveIntegerField(default=0, help_text="How many runs of its upload began.")
    upload_started = models.DateTimeField(null=True, blank=True, help_text="When the latest upload began.")
    upload_finished = models.DateTimeField(
        null=True, blank=True, help_text="When the latest upload ended; empty while it runs, or if it was cut off."
    )
    upload_owner = models.CharField(
        max_length=64, null=True, blank=True, help_text="Token of the upload that runs now; empty: none."
    )
    upload_host = models.CharField(max_length=255, null=True, blank=True, help_text="Host of the upload that runs.")
    upload_pid = models.IntegerField(null=True, blank=True, help_text="Process id of the upload that runs.")
    upload_process = models.CharField(
        max_length=255, null=True, blank=True, help_text="Boot, process namespace and start of that process."
    )
    upload_heartbeat = models.DateTimeField(
        null=True, blank=True, help_text="Last sign of the upload that runs (database's clock)."
    )

    ingest_start_time = models.DateTimeField(
        null=True, blank=True, help_text="The moment just before the first object was put."
    )
    ingest_done_at = models.DateTimeField(
        null=True, blank=True, help_text="When a check found the ingest complete (ingest_done?)."
    )
    ingest_complete_time = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the ingest ended: by its log, else when the final count was first seen.",
    )
    ingest_duration = models.DurationField(null=True, blank=True, help_text="From its start to its end.")
    ingest_errs = models.PositiveIntegerField(null=True, blank=True, help_text="Objects left in the bucket.")
    ingest_oks = models.PositiveIntegerField(null=True, blank=True, help_text="Objects put, less those left.")
    result_changed_at = models.DateTimeField(
        null=True, blank=True, help_text="When its result last changed: by a check, by healing, or by messages read."
    )
    messages_read_at = models.DateTimeField(
        null=True, blank=True, help_text="When the messages of the ingest were last read from its log."
    )
    messages_problem = models.CharField(
        max_length=LONGEST_MESSAGE, null=True, blank=True, help_text="Why they could not be read, the last time."
    )
    counted_at = models.DateTimeField(
        null=True, blank=True, help_text="When a scheduled count of it last began (database's clock)."
    )
    check_problem = models.CharField(
        max_length=LONGEST_MESSAGE, null=True, blank=True, help_text="Why the last scheduled count of it failed."
    )
    check_failing_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when they fail; empty: the last one was complete."
    )

    cleared_at = models.DateTimeField(
        null=True, blank=True, help_text="When objects of it were last deleted by `batch clear`."
    )
    archived_at = models.DateTimeField(null=True, blank=True, help_text="When it was put out of the way.")
    notes = models.TextField(blank=True, default="", help_text="Whatever people want to remember about it.")
    cells = models.TextField(
        null=True,
        blank=True,
        editable=False,
        help_text="Cells of the batches CSV it came from that are spelled otherwise here, as JSON: text, and ours then.",
    )
    import_digest = models.CharField(
        max_length=32,
        null=True,
        blank=True,
        editable=False,
        help_text="Digest of the reports that it was imported from.",
    )
    added_at = models.DateTimeField(default=timezone.now, help_text="When it was added here.")
    added_by = models.CharField(max_length=150, null=True, blank=True, help_text="Who added it.")
    host = models.CharField(max_length=255, null=True, blank=True, help_text="HOST_NAME where it was added.")

    class Meta:
        verbose_name_plural = "batches"
        ordering = ["-added_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=~Q(bid=""), name="batches_batch_has_id"),
            models.CheckConstraint(condition=Q(status__in=BatchStatus.values), name="batches_batch_status"),
            models.CheckConstraint(condition=Q(action__in=Action.values), name="batches_batch_action"),
        ]
        indexes = [
            # `ingstat --all`, `batch list` by status: the batches of a status that are not archived.
            models.Index(fields=["status", "archived_at"], name="batches_batch_by_status"),
            # `batch list` and the list page: newest first.
            models.Index(fields=["-added_at", "-id"], name="batches_batch_newest"),
        ]

    def __str__(self) -> str:
        return self.bid

    @property
    def key_prefix(self) -> str:
        """`batch_prefix` of the batches CSV: what all its keys begin with, and keys of other batches, too."""
        return prefix(self.bid)

    @property
    def upload_is_open(self) -> bool:
        """Whether an upload of it runs, or was cut off."""
        return self.upload_started is not None and self.upload_finished is None

    def claim_upload(self, token: str, *, host: str, pid: int, process: str, dead: str | None = None) -> bool:
        """Makes `token` the only upload of this batch; False if another one is. Writes the claim and `upload_started`.

        It wins over nobody, over the owner `dead`, and over one whose heartbeat is older than CLAIM_SECONDS.
        """
        free = Q(upload_owner=None) | Q(upload_heartbeat__lt=Now() - timedelta(seconds=CLAIM_SECONDS))
        if dead:
            free |= Q(upload_owner=dead)
        return self._change(
            Q(status__in=UPLOADABLE, archived_at=None) & free,
            upload_owner=token,
            upload_host=host,
            upload_pid=pid,
            upload_process=process,
            upload_heartbeat=Now(),
            upload_runs=F("upload_runs") + 1,
            upload_started=timezone.now(),
            upload_finished=None,
        )

    def renew_claim(self, token: str) -> bool:
        """A sign of life of the upload; False if the claim was lost. This row is not read again: it is asked for each group."""
        return bool(Batch.objects.filter(pk=self.pk, upload_owner=token).update(upload_heartbeat=Now()))

    def set_upload_store(self, token: str, store_url: str) -> bool:
        """Notes where it is uploaded to."""
        return self._change(Q(upload_owner=token), store_url=store_url)

    def set_ingest_start(self, token: str, *, anew: bool) -> bool:
        """Stamps `ingest_start_time`, just before the first object; `anew` also when there is one (nothing was put then)."""
        when = Q(upload_owner=token) if anew else Q(upload_owner=token, ingest_start_time=None)
        return self._change(when, ingest_start_time=timezone.now())

    def release_upload(self, token: str) -> bool:
        """Ends the claim of an upload that was cut off: it stays unfinished."""
        return self._change(Q(upload_owner=token), **_NO_CLAIM)

    def finish_upload(self, token: str, *, oks: int, errs: int, maybe: int) -> bool:
        """Ends an upload in which each record has its outcome. Where nothing can have arrived, the status stays as it was.

        `maybe`: how many of `errs` may have arrived: then there is an ingest to follow, too.
        """
        now = timezone.now()
        done = {"status": BatchStatus.UPLOADED, "uploaded_at": now} if oks or maybe else {}
        counts = {"upload_oks": oks, "upload_errs": errs, "upload_finished": now}
        return self._change(Q(upload_owner=token), **_NO_CLAIM, **counts, **done)

    def finish_ingest(self, *, left: int, done: datetime, complete: datetime) -> bool:
        """Writes the result columns (domain.md 1), all but `ingest_oks`, which `count_ingested` adds in the same transaction.

        False if another check wrote a result, an upload began, or objects were deleted since this row was read; `left` is
        objects left.
        """
        return self._change(
            Q(status=BatchStatus.UPLOADED, upload_owner=None, upload_runs=self.upload_runs, cleared_at=self.cleared_at),
            status=BatchStatus.INGESTED,
            ingest_done_at=done,
            ingest_errs=left,
            ingest_complete_time=complete,
            ingest_duration=self._lasted(complete),
            result_changed_at=done,
        )

    def lock_result(self) -> bool:
        """Keeps others from changing its result until the transaction ends; False if it is another one now, or none."""
        result = Q(status=BatchStatus.INGESTED, ingest_done_at=self.ingest_done_at, upload_owner=None)
        return self._change(result, counted_at=F("counted_at"))

    def heal_ingest(self, *, fewer: int, seen: datetime) -> None:
        """So many objects fewer are left than the result says; `seen`: when that was seen. After `hold_result`."""
        self._change(
            Q(status=BatchStatus.INGESTED),
            ingest_errs=(self.ingest_errs or 0) - fewer,
            ingest_oks=min(self.upload_oks or 0, (self.ingest_oks or 0) + fewer),
            ingest_complete_time=seen,
            ingest_duration=self._lasted(seen),
            result_changed_at=seen,
        )

    def record_messages(self, *, read: datetime, complete: datetime | None) -> bool:
        """The messages of the log are on the records; `complete`: its last event that names the batch, where there is one."""
        ended = {"ingest_complete_time": complete, "ingest_duration": self._lasted(complete)} if complete else {}
        return self._change(
            Q(status=BatchStatus.INGESTED, ingest_done_at=self.ingest_done_at),
            messages_read_at=read,
            messages_problem=None,
            result_changed_at=read,
            **ended,
        )

    def rollback_ingest(self) -> bool:
        """Clears the result columns: it is uploaded again, and can be checked. False if it has no result, or is archived."""
        return self._change(
            Q(status=BatchStatus.INGESTED, archived_at=None),
            status=BatchStatus.UPLOADED,
            # Its next check is another one, and may begin at once.
            counted_at=None,
            **_NO_RESULT,
        )

    def rollback_upload(self) -> bool:
        """Clears the outcome of the upload; False if it has a result of ingest, is archived, is being sent, or has none."""
        # A check that is under way must not end on what it saw: it goes by the number of runs.
        return self._change(
            Q(status__in=UPLOADABLE, archived_at=None, upload_owner=self.upload_owner, upload_runs=self.upload_runs)
            & ~Q(upload_started=None, uploaded_at=None),
            **_NO_CLAIM,
            status=BatchStatus.MAPPED if self.mapped_at else BatchStatus.ADDED,
            upload_runs=F("upload_runs") + 1,
            upload_started=None,
            upload_finished=None,
            uploaded_at=None,
            upload_oks=None,
            upload_errs=None,
            ingest_start_time=None,
        )

    def record_clearing(self, *, lost: int) -> bool:
        """Just before objects of it are deleted: `lost` of its uploaded records don't count as such any more. While it has
        its result that is 0, for the result stands as it was: `lose_cleared` follows when it is taken back.

        False if since this row was read an upload began, or a result was written or taken back.
        """
        # Never negative: an imported batch may count otherwise.
        lost = min(lost, self.upload_oks or 0)
        # A report of its result says of each record whether it was uploaded.
        changed = {"result_changed_at": timezone.now()} if self.status == BatchStatus.INGESTED else {}
        return self._change(
            Q(status=self.status, upload_owner=self.upload_owner, upload_runs=self.upload_runs, archived_at=None),
            cleared_at=timezone.now(),
            upload_oks=F("upload_oks") - lost,
            upload_errs=F("upload_errs") + lost,
            **changed,
        )

    def subtract_cleared(self, *, uploaded: int) -> None:
        """Objects were deleted since the result that was just taken back: so many records are still uploaded."""
        lost = max(0, (self.upload_oks or 0) - uploaded)
        self._change(
            Q(status=BatchStatus.UPLOADED), upload_oks=F("upload_oks") - lost, upload_errs=F("upload_errs") + lost
        )

    def record_duplicates(self, number: int, when: datetime) -> None:
        """What a look for duplicates found."""
        self._change(Q(), duplicates=number, duplicates_checked_at=when)

    def archive(self) -> bool:
        """Out of the way; False if it is already, or its state changed since this row was read."""
        return self._change(
            Q(archived_at=None, status=self.status, upload_owner=self.upload_owner, upload_runs=self.upload_runs),
            archived_at=timezone.now(),
        )

    def unarchive(self) -> bool:
        """Back again; False if it is not archived."""
        return self._change(Q(archived_at__isnull=False), archived_at=None)

    def count_ingested(self, *, found: int) -> None:
        """Adds `ingest_oks`. `found`: records whose upload ended unclearly, and whose object is left: it was put, after all."""
        oks = (self.upload_oks or 0) + found
        errs = max(0, (self.upload_errs or 0) - found)
        # Never negative: there can be objects of the batch that none of its records knows.
        left = self.ingest_errs or 0
        self._change(Q(status=BatchStatus.INGESTED), upload_oks=oks, upload_errs=errs, ingest_oks=max(0, oks - left))

    def claim_count(self, spacing: float) -> bool:
        """Whether a scheduled count is due: none began in the last `spacing` seconds (database's clock). Notes it."""
        free = Q(counted_at=None) | Q(counted_at__lt=Now() - timedelta(seconds=spacing)) if spacing else Q()
        return self._change(free, counted_at=Now())

    def _lasted(self, until: datetime) -> timedelta | None:
        return until - self.ingest_start_time if self.ingest_start_time else None

    def _change(self, when: Q, **values: object) -> bool:
        changed = Batch.objects.filter(when, pk=self.pk).update(**values)
        if changed:
            self.refresh_from_db(fields=list(values))
        return bool(changed)


_NO_CLAIM = {
    "upload_owner": None,
    "upload_host": None,
    "upload_pid": None,
    "upload_process": None,
    "upload_heartbeat": None,
}
_NO_RESULT = {
    "ingest_done_at": None,
    "ingest_complete_time": None,
    "ingest_duration": None,
    "ingest_errs": None,
    "ingest_oks": None,
    "result_changed_at": None,
    "messages_read_at": None,
    "messages_problem": None,
}
