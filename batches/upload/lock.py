"""One upload of a batch at a time, anywhere that shares the database."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field

from django.conf import settings

from batches.choices import BatchStatus
from batches.models import Batch
from batches.models.batch import UPLOAD_LOCK_SECONDS
from core.exceptions import OperationRefused
from core.processes import is_dead, monotonic, this_process

HEARTBEAT_SECONDS = 10
SAFE_SECONDS = UPLOAD_LOCK_SECONDS - 15
"""A lock that was renewed longer ago than this, by our own clock, is not good enough to send anything."""


class UploadLockLost(Exception):
    """Another process took over the upload of this batch, so this one stopped sending."""


@dataclass
class UploadLock:
    """Our right to upload a batch. Threads may call `is_held`; all else belongs to the thread that created it."""

    batch: Batch
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    _renewed_at: float = 0.0

    def acquire(self) -> None:
        """Locks the batch, also when the previous owner is dead. Raises OperationRefused with the owner or the reason."""
        before = monotonic()
        batch = self.batch
        owner, process = Batch.objects.values_list("upload_owner", "upload_process").get(pk=batch.pk)
        dead = owner if owner and is_dead(process or "") else None
        locked = batch.lock_upload(
            self.token, host=settings.HOST_NAME, pid=os.getpid(), process=this_process(), dead=dead
        )
        # Also when it is ours: another run may have written more than its lock since our row was read.
        batch.refresh_from_db()
        if not locked:
            raise OperationRefused(
                reason_not_uploadable(batch)
                or f"{batch} is being uploaded by process {batch.upload_pid} on {batch.upload_host}. If that process died,"
                f" its lock expires {UPLOAD_LOCK_SECONDS} s after the last heartbeat: try again then."
            )
        self._renewed_at = before

    def heartbeat(self) -> None:
        """Renews the lock if it is due. Cheap to call often. Raises UploadLockLost."""
        if monotonic() - self._renewed_at > HEARTBEAT_SECONDS:
            self.renew()

    def renew(self) -> None:
        """Renews the lock now. Raises UploadLockLost."""
        before = monotonic()
        if not self.batch.renew_upload_lock(self.token):
            raise UploadLockLost(f"Another process took over the upload of {self.batch}, so this one stopped.")
        self._renewed_at = before

    def is_held(self) -> bool:
        """Whether nobody can have taken over: called just before each object is put."""
        return monotonic() - self._renewed_at < SAFE_SECONDS


def reason_not_uploadable(batch: Batch) -> str:
    """Why the batch can't be uploaded in its state; empty if it can."""
    if batch.archived_at:
        return f"{batch} is archived. Unarchive it first: manage.py batch archive {batch} --undo"
    if batch.status == BatchStatus.INGESTED:
        return (
            f"{batch} is ingested. To upload missing records, undo the ingest result first:"
            f" manage.py batch rollback {batch} ingest"
        )
    return ""
