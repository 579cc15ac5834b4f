"""Queueing a job, by a button or by another job."""

from __future__ import annotations

from django_q.tasks import async_task
from redis import RedisError

from core.exceptions import OperationRefused


def queue_job(function: str, *arguments: object, **keywords: object) -> None:
    """Queues a job by its dotted name. Raises OperationRefused if the broker does not answer, RefusedJobError if it is no job."""
    try:
        async_task(function, *arguments, **keywords)
    except (RedisError, OSError) as error:
        # Not its words: they may repeat our password.
        why = f"Nothing queued: the queue of jobs does not answer ({type(error).__name__})."
        raise OperationRefused(f"{why} Check REDIS_URL and that server, then try again.") from error
