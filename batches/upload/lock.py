"""One upload of a batch at a time, anywhere that shares the database."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field

from django.conf import settings

from batches.choices import BatchStatus
from batches.models import Batch
from batches.models.batch import CLAIM_SECONDS
from core.exceptions import OperationRefused
from core.processes import is_dead, monotonic, this_process

HEARTBEAT_SECONDS = 10
SAFE_SECONDS = CLAIM_SECONDS - 15
"""Older than this, by our own clock, a claim is not good enough to send anything."""


@dataclass
class UploadLock:
    """Our right to upload a batch. Threads may ask `is_fresh`; all else belongs to the thread that made it."""

    batch: Batch
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    _beaten: float = 0.0

    def take(self) -> None:
        """Takes the batch, also over from an owner who is dead. Raises OperationRefused, saying who has it or why not."""
        before = monotonic()
        owner, process = Batch.objects.values_list("upload_owner", "upload_process").get(pk=self.batch.pk)
        dead = owner if owner and is_dead(process or "") else None
        if not self.batch.claim_upload(
            self.token, host=settings.HOST_NAME, pid=os.getpid(), process=this_process(), dead=dead
        ):
            self.batch.refresh_from_db()
            raise OperationRefused(_reason(self.batch))
        # An other run may have written more than the claim since our row was read.
        self.batch.refresh_from_db()
        self._beaten = before

    def beat(self) -> None:
        """A sign of life, if it is time for one. Cheap to call often. Raises ClaimLost."""
        if monotonic() - self._beaten > HEARTBEAT_SECONDS:
            self.confirm()

    def confirm(self) -> None:
        """A sign of life now. Raises ClaimLost."""
        before = monotonic()
        if not self.batch.renew_claim(self.token):
            raise UploadLockLost(f"The upload of {self.batch} was taken over by another process, so this one stopped.")
        self._beaten = before

    def is_fresh(self) -> bool:
        """Whether nobody can have taken over: asked just before each object is put."""
        return monotonic() - self._beaten < SAFE_SECONDS


def reason_not_uploadable(batch: Batch) -> str:
    """Why the batch can't be uploaded in the state it is in; empty if it can."""
    if batch.archived_at:
        return f"{batch} is archived. To work on it, take it back first: manage.py batch archive {batch} --undo"
    if batch.status == BatchStatus.INGESTED:
        return (
            f"{batch} is ingested. To upload what is missing, take that result back first:"
            f" manage.py batch rollback {batch} ingest"
        )
    return ""


def _reason(batch: Batch) -> str:
    return reason_not_uploadable(batch) or (
        f"{batch} is being uploaded by process {batch.upload_pid} on {batch.upload_host}. If that has died there, its claim"
        f" ends {CLAIM_SECONDS} s after its last sign of life: try again then."
    )


class UploadLockLost(Exception):
    """Another upload took the batch over, so this one stopped sending."""
