"""The batches' background jobs: thin, short, and only nudges of what stands in the tables (docs/jobs.md)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from django.conf import settings
from django_q.tasks import async_task

from batches.ingest import scheduled
from batches.models import Batch
from core.formatting import pluralize
from core.jobs.decorator import job, stop_requested
from core.processes import monotonic

AT_ONCE = 4
"""Jobs that one tick queues at the most: they share what is due, on one cluster or several."""


@job
def nudge_batches() -> str:
    """Queues as many jobs as can share the batches that are due to be counted; scheduled every half minute."""
    due = scheduled.to_check().count() + scheduled.to_heal().count()
    for _ in range(min(due, AT_ONCE)):
        async_task("batches.tasks.count_batches")
    return f"{pluralize(due, 'batch', 'batches')} to count"


@job
def count_batches() -> str:
    """One count of each batch that is due, longest uncounted first, until none is left or JOB_STRETCH seconds are over."""
    ends = monotonic() + settings.JOB_STRETCH
    with stop_requested() as told:

        def stop() -> bool:
            return told() or monotonic() > ends

        numbers = [_all(one, stop) for one in (scheduled.check_next, scheduled.heal_next)]
    return f"{pluralize(numbers[0], 'batch', 'batches')} counted, {numbers[1]} watched for healing"


@job
def check_batch(batch: int, asked_by: str) -> str:
    """One count of this batch now, as somebody asked; what it saw is in the batch's history."""
    found = Batch.objects.filter(pk=batch, archived_at=None).first()
    if not found:
        return f"{batch}: it is archived, or no more"
    scheduled.check_now(found, asked_by)
    return f"{found}: {found.check_problem or 'counted'}"


def _all(one: Callable[[Callable[[], bool], Collection[int]], Batch | None], stop: Callable[[], bool]) -> int:
    done: list[int] = []
    while batch := one(stop, done):
        done.append(batch.pk)
    return len(done)
