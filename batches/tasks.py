"""The background jobs of batches: short, and stateless, because the state is in the tables (docs/jobs.md)."""

from __future__ import annotations

from django.conf import settings

from batches.ingest import scheduled
from batches.models import Batch
from batches.models.batch import bring_back_upload_locks
from batches.upload_queue.run import upload_slice
from core.formatting import pluralize
from core.jobs.decorator import job, stop_requested
from core.jobs.queueing import queue_job
from core.processes import monotonic

MAX_JOBS = 4
"""Jobs that are queued at a time; they share the batches that are due, on one cluster or several."""


@job
def nudge_batches() -> str:
    """Queues jobs for the batches whose count is due; scheduled every half minute."""
    bring_back_upload_locks(Batch.objects.all())
    due = scheduled.to_check().count() + scheduled.to_heal().count()
    for _ in range(min(due, MAX_JOBS)):
        queue_job("batches.tasks.count_batches")
    return f"{pluralize(due, 'batch', 'batches')} to count"


@job
def count_batches() -> str:
    """One count of each batch that is due, longest uncounted first, until none is due or JOB_STRETCH seconds are over."""
    end = monotonic() + settings.JOB_STRETCH
    numbers = []
    with stop_requested() as is_stopped:
        for count_next in (scheduled.check_next, scheduled.heal_next):
            done: list[int] = []
            while batch := count_next(lambda: is_stopped() or monotonic() > end, done):
                done.append(batch.pk)
            numbers.append(len(done))
    return f"{pluralize(numbers[0], 'batch', 'batches')} counted, {numbers[1]} checked for healing"


@job
def upload_queued() -> str:
    """One time slice of the upload queue, of a batch whose files this machine has; queues the next slice itself."""
    with stop_requested() as is_stopped:
        done, has_more = upload_slice(settings.JOB_STRETCH, is_stopped)
    if has_more:
        queue_job("batches.tasks.upload_queued")
    return done


@job
def check_batch(batch: int, asked_by: str) -> str:
    """One count of this batch now, for a user; it is in the batch's history."""
    found = Batch.objects.filter(pk=batch, archived_at=None).first()
    if not found:
        return f"{batch}: archived or deleted"
    scheduled.check_now(found, asked_by)
    return f"{found}: {found.check_problem or 'counted'}"
