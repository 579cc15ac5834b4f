"""Batch: a set of records, from mapping to ingest. Its records, steps and checks are beside it.

The columns are those of the batches CSV and of the step reports (domain.md 1), typed; NULL is unknown. A change of state
is a conditional UPDATE: the number of changed rows says who won.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from batches.choices import UPLOADABLE, Action, BatchStatus
from batches.keys import prefix
from batches.models.record import MAX_MESSAGE_LENGTH
from core.due import CLOCK_TOLERANCE, older_than
from core.fields import BytewiseCharField, MessageField

UPLOAD_LOCK_SECONDS = 60
"""An upload on another host without a heartbeat for this long, by the database's clock, is considered dead."""
LOG_WAS_READ = "The ingest log was read, but"
"""Begins the problem of a batch whose log was read to its end and left failures without a message."""


class Batch(models.Model):
    """A set of records that is mapped, uploaded and ingested together."""

    bid = BytewiseCharField("id", max_length=6, unique=True, help_text="Batch id: 1 to 6 letters and digits.")
    status = models.CharField(
        max_length=10, choices=BatchStatus, default=BatchStatus.ADDED, help_text="Last step that is done."
    )
    rectype = models.CharField(
        "record type", max_length=100, help_text="Record type of the mapping, such as collectionobject."
    )
    action = models.CharField(max_length=6, choices=Action, help_text="What the ingest does with each record.")
    mode = models.CharField(
        max_length=50, null=True, blank=True, help_text="Batch mode of the mapping (batch_mode), if known."
    )
    source_csv = models.CharField(
        max_length=1024, null=True, blank=True, help_text="The CSV that was mapped, if known."
    )
    folder = models.CharField(
        max_length=1024,
        null=True,
        blank=True,
        help_text="The batch folder (dir) on the machine where the batch was added.",
    )
    source_columns = models.TextField(
        default="[]", help_text="Columns of the mapper report in their order, as a JSON list."
    )
    record_count = models.PositiveIntegerField(null=True, blank=True, help_text="Records in the batch (rec_ct).")

    mapped_at = models.DateTimeField(null=True, blank=True, help_text="When the batch was mapped (mapped?).")
    map_oks = models.PositiveIntegerField(null=True, blank=True, help_text="Records mapped successfully.")
    map_errs = models.PositiveIntegerField(null=True, blank=True, help_text="Records whose mapping failed.")
    map_warns = models.PositiveIntegerField(null=True, blank=True, help_text="Records mapped with warnings.")
    missing_terms = models.PositiveIntegerField(null=True, blank=True, help_text="Terms missing in the mapping.")

    duplicates_checked_at = models.DateTimeField(
        null=True, blank=True, help_text="When duplicates were last checked (duplicates_checked?)."
    )
    duplicates = models.PositiveIntegerField(null=True, blank=True, help_text="Duplicates found.")

    store_url = models.CharField(
        max_length=2048, null=True, blank=True, help_text="Store the batch was uploaded to, and where it is counted."
    )
    uploaded_at = models.DateTimeField(null=True, blank=True, help_text="When the upload ended (uploaded?).")
    upload_oks = models.PositiveIntegerField(null=True, blank=True, help_text="Records uploaded.")
    upload_errs = models.PositiveIntegerField(
        null=True, blank=True, help_text="Records whose upload failed, could not begin, or is uncertain."
    )
    upload_runs = models.PositiveIntegerField(default=0, help_text="Number of upload runs that were started.")
    upload_started = models.DateTimeField(null=True, blank=True, help_text="When the last upload started.")
    upload_finished = models.DateTimeField(
        null=True, blank=True, help_text="When the last upload ended; empty while it runs and after it was cut off."
    )
    upload_owner = models.CharField(
        max_length=64, null=True, blank=True, help_text="Lock token of the running upload; empty: none."
    )
    upload_host = models.CharField(max_length=255, null=True, blank=True, help_text="Host of the running upload.")
    upload_pid = models.IntegerField(null=True, blank=True, help_text="Process id of the running upload.")
    upload_process = models.CharField(
        max_length=255, null=True, blank=True, help_text="Boot id, process namespace and start time of that process."
    )
    upload_heartbeat = models.DateTimeField(
        null=True, blank=True, help_text="Last heartbeat of the running upload (database clock)."
    )

    queued_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was queued for upload; empty: it is not in the upload queue."
    )
    queued_by = models.CharField(max_length=150, null=True, blank=True, help_text="User who queued it.")
    queue_stop = MessageField(
        max_length=MAX_MESSAGE_LENGTH,
        null=True,
        blank=True,
        help_text="Why the upload queue stopped at this batch; empty: it did not, or was resumed since.",
    )

    ingest_start_time = models.DateTimeField(null=True, blank=True, help_text="When the first object was put.")
    ingest_done_at = models.DateTimeField(
        null=True, blank=True, help_text="When a check found the ingest complete (ingest_done?)."
    )
    ingest_complete_time = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the ingest ended: by its log, otherwise when the final count was first seen.",
    )
    ingest_duration = models.DurationField(null=True, blank=True, help_text="From the start of the ingest to its end.")
    ingest_errs = models.PositiveIntegerField(null=True, blank=True, help_text="Objects remaining in the bucket.")
    ingest_oks = models.PositiveIntegerField(
        null=True, blank=True, help_text="Objects uploaded, minus those remaining."
    )
    result_changed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the result last changed: by a check, by healing, or by messages from the log.",
    )
    messages_read_at = models.DateTimeField(null=True, blank=True, help_text="When the ingest log was last read.")
    messages_problem = MessageField(
        max_length=MAX_MESSAGE_LENGTH,
        null=True,
        blank=True,
        help_text="Why the ingest log could not be read the last time.",
    )
    counted_at = models.DateTimeField(
        null=True, blank=True, help_text="When the last scheduled count started (database clock)."
    )
    check_problem = MessageField(
        max_length=MAX_MESSAGE_LENGTH, null=True, blank=True, help_text="Why the last scheduled count failed."
    )
    check_failing_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when scheduled counts fail; empty: the last one succeeded."
    )

    cleared_at = models.DateTimeField(
        null=True, blank=True, help_text="When `batch clear` last deleted objects of the batch."
    )
    archived_at = models.DateTimeField(null=True, blank=True, help_text="When the batch was archived.")
    notes = models.TextField(blank=True, default="", help_text="Free text.")
    cells = models.TextField(
        null=True,
        blank=True,
        editable=False,
        help_text="Cells of the imported batches CSV that an export formats differently, as JSON: original text and our text.",
    )
    import_digest = models.CharField(
        max_length=32,
        null=True,
        blank=True,
        editable=False,
        help_text="Digest of the imported reports.",
    )
    added_at = models.DateTimeField(default=timezone.now, help_text="When the batch was added.")
    added_by = models.CharField(max_length=150, null=True, blank=True, help_text="User who added the batch.")
    host = models.CharField(max_length=255, null=True, blank=True, help_text="HOST_NAME where the batch was added.")

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
        """`batch_prefix` of the batches CSV: the prefix of all its keys, and possibly of keys of other batches."""
        return prefix(self.bid)

    @property
    def upload_is_open(self) -> bool:
        """Whether its upload runs or was cut off."""
        return self.upload_started is not None and self.upload_finished is None

    @property
    def was_uploaded(self) -> bool:
        """Whether an upload was started, at whatever time; an imported one may be unknown."""
        uploaded = self.status in (BatchStatus.UPLOADED, BatchStatus.INGESTED)
        return uploaded or self.upload_started is not None or self.uploaded_at is not None

    def lock_upload(self, token: str, *, host: str, pid: int, process: str, dead: str | None = None) -> bool:
        """Makes `token` the only upload of this batch; False if there is another one. Writes the lock and `upload_started`.

        The lock is free if it has no owner, if the owner is `dead`, or if its heartbeat is older than UPLOAD_LOCK_SECONDS.
        """
        bring_back_upload_locks(Batch.objects.filter(pk=self.pk))
        free = Q(upload_owner=None) | Q(upload_heartbeat__lt=Now() - timedelta(seconds=UPLOAD_LOCK_SECONDS))
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

    def renew_upload_lock(self, token: str) -> bool:
        """Writes a heartbeat; False if the lock was lost. Does not read the row again, because it runs for each group."""
        return bool(Batch.objects.filter(pk=self.pk, upload_owner=token).update(upload_heartbeat=Now()))

    def queue_upload(self, who: str) -> bool:
        """Puts it at the end of the upload queue; False if it is queued already, archived or ingested."""
        free = Q(queued_at=None, archived_at=None, status__in=UPLOADABLE)
        return self._change(free, queued_at=timezone.now(), queued_by=who)

    def leave_queue(self, stop: str = "") -> bool:
        """Takes it out of the upload queue, which stops if there is a reason to; False if it is not queued."""
        return self._change(Q(queued_at__isnull=False), **_NOT_QUEUED, queue_stop=stop[:MAX_MESSAGE_LENGTH] or None)

    def stop_queue(self, reason: str) -> bool:
        """Stops the upload queue at this batch, which stays in it; False if it is not queued."""
        return self._change(Q(queued_at__isnull=False), queue_stop=reason[:MAX_MESSAGE_LENGTH])

    def set_upload_store(self, token: str, store_url: str) -> bool:
        """Stores where it is uploaded to."""
        return self._change(Q(upload_owner=token), store_url=store_url)

    def set_ingest_start(self, token: str, *, replace: bool) -> bool:
        """Sets `ingest_start_time`, just before the first object; `replace`: also if it is set (nothing was put then)."""
        when = Q(upload_owner=token) if replace else Q(upload_owner=token, ingest_start_time=None)
        return self._change(when, ingest_start_time=timezone.now())

    def release_upload(self, token: str) -> bool:
        """Releases the lock of an upload that was cut off: it stays unfinished."""
        return self._change(Q(upload_owner=token), **_UNLOCKED)

    def finish_upload(self, token: str, *, oks: int, errs: int, maybe: int) -> bool:
        """Ends an upload in which each record has its outcome. If nothing can have arrived, the status does not change.

        `maybe`: how many of `errs` may have arrived: then there is an ingest to check, too.
        """
        now = timezone.now()
        done = {"status": BatchStatus.UPLOADED, "uploaded_at": now} if oks or maybe else {}
        counts = {"upload_oks": oks, "upload_errs": errs, "upload_finished": now}
        return self._change(Q(upload_owner=token), **_UNLOCKED, **counts, **done)

    def finish_ingest(self, *, remaining: int, done: datetime, complete: datetime) -> bool:
        """Writes the result columns (domain.md 1), except `ingest_oks`, which `set_ingest_oks` adds in the same transaction.

        False if another check wrote a result, an upload started, or objects were deleted since this row was read.
        """
        return self._change(
            Q(status=BatchStatus.UPLOADED, upload_owner=None, upload_runs=self.upload_runs, cleared_at=self.cleared_at),
            status=BatchStatus.INGESTED,
            ingest_done_at=done,
            ingest_errs=remaining,
            ingest_complete_time=complete,
            ingest_duration=self._duration_until(complete),
            result_changed_at=done,
        )

    @property
    def log_outcome(self) -> str:
        """How the last reading of the ingest log ended, if there is a `messages_problem`; otherwise empty."""
        if not self.messages_problem:
            return ""
        return "was not understood" if self.messages_problem.startswith(LOG_WAS_READ) else "could not be read"

    def lock_result(self) -> bool:
        """Locks the result until the transaction ends; False if there is another result now, or none."""
        result = Q(status=BatchStatus.INGESTED, ingest_done_at=self.ingest_done_at, upload_owner=None)
        return self._change(result, counted_at=F("counted_at"))

    def heal_ingest(self, *, fewer: int, seen: datetime) -> None:
        """Corrects the result: `fewer` objects less remain, counted at `seen`. Call `lock_result` first."""
        self._change(
            Q(status=BatchStatus.INGESTED),
            ingest_errs=(self.ingest_errs or 0) - fewer,
            ingest_oks=min(self.upload_oks or 0, (self.ingest_oks or 0) + fewer),
            ingest_complete_time=seen,
            ingest_duration=self._duration_until(seen),
            result_changed_at=seen,
        )

    def record_messages(self, *, read: datetime, complete: datetime | None) -> bool:
        """Marks the log as read; `complete`: time of its last event that names the batch, if any."""
        ended = (
            {"ingest_complete_time": complete, "ingest_duration": self._duration_until(complete)} if complete else {}
        )
        return self._change(
            Q(status=BatchStatus.INGESTED, ingest_done_at=self.ingest_done_at),
            messages_read_at=read,
            messages_problem=None,
            result_changed_at=read,
            **ended,
        )

    def rollback_ingest(self) -> bool:
        """Clears the result columns: the status is uploaded again. False if there is no result, or the batch is archived."""
        return self._change(
            Q(status=BatchStatus.INGESTED, archived_at=None),
            status=BatchStatus.UPLOADED,
            cells=self._cells_without(_INGEST_CELLS),
            # Its next check may start at once.
            counted_at=None,
            **_NO_RESULT,
        )

    def rollback_upload(self) -> bool:
        """Clears the outcome of the upload; False if the batch is ingested, archived, being uploaded, or was never uploaded."""
        # A check that is running must not end with what it saw: it compares the number of runs.
        return self._change(
            Q(status__in=UPLOADABLE, archived_at=None, upload_owner=self.upload_owner, upload_runs=self.upload_runs)
            & ~Q(upload_started=None, uploaded_at=None, status__in=[BatchStatus.ADDED, BatchStatus.MAPPED]),
            **_UNLOCKED,
            **_NOT_QUEUED,
            status=BatchStatus.MAPPED if self.mapped_at else BatchStatus.ADDED,
            cells=self._cells_without(_UPLOAD_CELLS | _INGEST_CELLS),
            upload_runs=F("upload_runs") + 1,
            upload_started=None,
            upload_finished=None,
            uploaded_at=None,
            upload_oks=None,
            upload_errs=None,
            ingest_start_time=None,
        )

    def record_clearing(self, *, lost: int) -> bool:
        """Just before objects are deleted: `lost` of its uploaded records no longer count as uploaded. With a result that is 0,
        because the result stands: `subtract_cleared` follows when it is undone.

        False if since this row was read an upload started, or a result was written or undone.
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
        """Objects were deleted since the result that was just undone: `uploaded` records are still uploaded."""
        lost = max(0, (self.upload_oks or 0) - uploaded)
        self._change(
            Q(status=BatchStatus.UPLOADED), upload_oks=F("upload_oks") - lost, upload_errs=F("upload_errs") + lost
        )

    def record_duplicates(self, number: int, checked: datetime) -> None:
        """Stores the number of duplicates found."""
        self._change(Q(), duplicates=number, duplicates_checked_at=checked)

    def archive(self) -> bool:
        """False if it is archived already, or its state changed since this row was read."""
        return self._change(
            Q(archived_at=None, status=self.status, upload_owner=self.upload_owner, upload_runs=self.upload_runs),
            archived_at=timezone.now(),
            queue_stop=None,
            **_NOT_QUEUED,
        )

    def unarchive(self) -> bool:
        """False if it is not archived."""
        return self._change(Q(archived_at__isnull=False), archived_at=None)

    def set_ingest_oks(self, *, found: int) -> None:
        """Sets `ingest_oks`. `found`: records with an unclear upload whose object remains: it was put after all."""
        oks = (self.upload_oks or 0) + found
        errs = max(0, (self.upload_errs or 0) - found)
        # Never negative: there can be objects of the batch without a record.
        ingest_oks = max(0, oks - (self.ingest_errs or 0))
        self._change(Q(status=BatchStatus.INGESTED), upload_oks=oks, upload_errs=errs, ingest_oks=ingest_oks)

    def claim_count(self, spacing: float) -> bool:
        """Claims the next scheduled count; False if one started in the last `spacing` seconds (database clock)."""
        free = older_than("counted_at", timedelta(seconds=spacing)) if spacing else Q()
        return self._change(free, counted_at=Now())

    def _cells_without(self, names: frozenset[str]) -> str | None:
        """Its imported cells, except those of a step that is undone."""
        kept = {name: texts for name, texts in json.loads(self.cells or "{}").items() if name not in names}
        return json.dumps(kept, ensure_ascii=False) if kept else None

    def _duration_until(self, end: datetime) -> timedelta | None:
        """Unknown, too, if the clock of the host that uploaded it was ahead by more than the ingest took."""
        start = self.ingest_start_time
        return end - start if start and start <= end else None

    def _change(self, when: Q, **values: object) -> bool:
        changed = Batch.objects.filter(when, pk=self.pk).update(**values)
        if changed:
            self.refresh_from_db(fields=list(values))
        return bool(changed)


def bring_back_upload_locks(batches: models.QuerySet[Batch]) -> None:
    """Makes heartbeats of the future heartbeats of now: the database's clock was ahead. Takes nothing from a living owner."""
    batches.filter(upload_heartbeat__gt=Now() + CLOCK_TOLERANCE).update(upload_heartbeat=Now())


_UPLOAD_CELLS = frozenset({"uploaded?", "upload_errs", "upload_oks", "ingest_start_time"})
_INGEST_CELLS = frozenset({"ingest_done?", "ingest_complete_time", "ingest_duration", "ingest_errs", "ingest_oks"})
_UNLOCKED = {
    "upload_owner": None,
    "upload_host": None,
    "upload_pid": None,
    "upload_process": None,
    "upload_heartbeat": None,
}
_NOT_QUEUED = {"queued_at": None, "queued_by": None}
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
