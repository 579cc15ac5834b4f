"""Works through the upload queue, a batch at a time: the core of `batch upload --all-mapped` and of the background job.

The state of the queue is in the rows of its batches, so whoever dies leaves nothing to repair: the next one reads it again. A
batch stays queued until its ingest has ended. Nobody uploads a batch that another process uploads: `UploadLock` sees to that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf

from django.conf import settings
from django.utils import timezone

from batches.choices import BatchStatus
from batches.models import Batch
from batches.querysets import upload_queue_batches
from batches.upload.lock import UploadLockLost
from batches.upload.put import PutResult
from batches.upload.run import UploadResult, upload_batch
from batches.upload_queue.entries import bids, files_are_here
from core.exceptions import OperationRefused
from core.formatting import pluralize
from core.logs import log_context
from core.processes import is_dead, monotonic
from objectstores.base import StoreError


@dataclass(frozen=True)
class UploadQueue:
    """The queue as it was read, each part in its order."""

    waiting: list[Batch]
    """To be uploaded; those whose upload was cut off first."""
    running: list[Batch]
    """Being uploaded, or in ingest."""
    ended: list[Batch]
    """With a result: they leave the queue."""
    stops: list[Batch]
    """Where it stopped; none: it goes on. One of which too many records failed is no longer in the queue."""

    def next_batch(self, at_once: int = 1) -> Batch | None:
        """The next batch to upload from this machine, if fewer than `at_once` are being uploaded or in ingest."""
        # Also one that is about to stop the queue holds it back.
        failing = any(map(failure_text, (*self.running, *self.ended)))
        if self.stops or failing or len(self.running) >= at_once:
            return None
        return next(filter(files_are_here, self.waiting), None)


def read_queue() -> UploadQueue:
    """The queue now, in one query: a batch that leaves it stops it in the same moment."""
    cut_off: list[Batch] = []
    new: list[Batch] = []
    running: list[Batch] = []
    ended: list[Batch] = []
    batches = list(upload_queue_batches())
    for batch in batches:
        if batch.queued_at is None:
            continue
        if batch.status == BatchStatus.INGESTED:
            ended.append(batch)
        elif batch.upload_is_open:
            is_alive = batch.alive and not is_dead(batch.upload_process or "")  # type: ignore[attr-defined]
            (running if is_alive else cut_off).append(batch)
        else:
            (running if batch.status == BatchStatus.UPLOADED else new).append(batch)
    return UploadQueue(cut_off + new, running, ended, [batch for batch in batches if batch.queue_stop is not None])


def failure_text(batch: Batch) -> str:
    """What failed, if that is a larger part of the records than UPLOAD_STOP_SHARE; otherwise empty."""
    not_uploaded, remaining = batch.upload_errs or 0, batch.ingest_errs or 0
    records = (batch.upload_oks or 0) + not_uploaded
    # There may be more objects than records.
    failed = min(not_uploaded + remaining, records)
    if not records or failed / records <= settings.UPLOAD_STOP_SHARE:
        return ""
    return (
        f"{failed:,} of {pluralize(records, 'record')} failed ({not_uploaded:,} not uploaded, {remaining:,} not ingested),"
        f" a larger part than UPLOAD_STOP_SHARE ({settings.UPLOAD_STOP_SHARE:g})"
    )


def waits_until() -> datetime | None:
    """When UPLOAD_HOURS begin; None if they have begun."""
    now = timezone.localtime(timezone=timezone.get_default_timezone())
    return None if settings.UPLOAD_HOURS.include(now) else settings.UPLOAD_HOURS.next_start(now)


def leave_ended(batch: Batch) -> bool:
    """Takes a batch that has its result out of the queue, which stops if too much failed; False if it has left before."""
    return batch.leave_queue(failure_text(batch))


def upload_queued(
    batch: Batch,
    *,
    on_start: Callable[[int], None] = lambda _number: None,
    on_result: Callable[[PutResult], None] = lambda _result: None,
    pause_reason: Callable[[], str] = lambda: "",
) -> UploadResult | None:
    """Uploads a batch of the queue, within UPLOAD_HOURS, and stops the queue if that fails. The arguments are `upload_batch`'s.

    None: it stopped the queue, or another process was first. A batch of which nothing arrived has no ingest, and has left the
    queue.
    """

    def pause() -> str:
        return f"UPLOAD_HOURS ({settings.UPLOAD_HOURS.text}) are over." if waits_until() else pause_reason()

    try:
        with log_context(batch=batch.bid):
            result = upload_batch(
                batch,
                who=batch.queued_by or "",
                on_start=on_start,
                on_result=on_result,
                pause_reason=pause,
            )
    except UploadLockLost:
        return None
    except (OperationRefused, StoreError) as error:
        batch.refresh_from_db()
        if not batch.upload_owner and batch.status != BatchStatus.INGESTED:
            batch.stop_queue(str(error))
        return None
    if not result.unfinished:
        if batch.status != BatchStatus.UPLOADED:
            batch.leave_queue(failure_text(batch))
    elif not result.is_paused:
        batch.stop_queue(result.stop_reason or f"{pluralize(result.unfinished, 'record')} can't be sent")
    return result


def upload_slice(seconds: float, stop: Callable[[], bool]) -> tuple[str, bool]:
    """Sends for so many seconds, until `stop`, or until the next batch is uploaded, for a job. Returns what was done, and whether
    there is more to do at once."""
    for batch in read_queue().ended:
        leave_ended(batch)
    queue, until, end = read_queue(), waits_until(), inf
    if not queue.waiting:
        return "no batch waits for its upload", False
    if queue.stops:
        return f"stopped at {bids(queue.stops)}", False
    if until:
        return f"waits for UPLOAD_HOURS until {until:%Y-%m-%d %H:%M}", False
    found = queue.next_batch()
    if found is None:
        return "no batch to upload from this machine now", False

    def begin(_records: int) -> None:
        # Not before: what comes first takes long for a large batch, and each slice must send something.
        nonlocal end
        end = monotonic() + seconds

    def pause_reason() -> str:
        return "The next job continues." if stop() or monotonic() > end else ""

    result = upload_queued(found, on_start=begin, pause_reason=pause_reason)
    if result is None:
        return f"{found} not uploaded", False
    counts = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(result.outcomes.items()))
    return f"{found}: {counts}", result.is_paused and not stop()
