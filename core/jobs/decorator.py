"""What all background jobs share: a row with the last run of each kind, and a flag to stop early (docs/jobs.md)."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, ParamSpec

from django.conf import settings
from django.db import IntegrityError
from django.db.models import F
from django.db.models.functions import Now
from django_q.exceptions import TimeoutException

from core.jobs import registry
from core.logs import log_context
from core.models import JobRun
from core.processes import stop_on_signals
from objectstores.wire import while_waiting

P = ParamSpec("P")
cluster_stop_flag: Any = None
"""A number in shared memory, made by `qcluster` before it forks its workers: above 0 once the cluster must stop.

It has no lock, unlike an Event: a process that is killed while it holds a lock never releases it.
"""

log = logging.getLogger("fnloader.jobs")


class JobStopped(Exception):
    """A job waited for another program when it was to stop; what it was doing is done by its next run."""


def job(function: Callable[P, str]) -> Callable[P, str]:
    """Makes a function a job: the cluster may run it, and its result or its error goes to the log and to its JobRun.

    An error is raised again; the job's schedule is what retries it.
    """
    name = f"{function.__module__}.{function.__name__}"
    registry.register(name)

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> str:
        with log_context(job=name):
            _save_run(name, begun_at=Now(), host=settings.HOST_NAME)
            try:
                result = function(*args, **kwargs)
            except JobStopped:
                result = "stopped before the end"
            except (Exception, TimeoutException) as error:
                log.exception("job failed")
                text = f"{type(error).__name__}: {error}"
                _save_run(name, failed_at=Now(), error=text, failures=F("failures") + 1)
                raise
            _save_run(name, finished_at=Now(), said=result, runs=F("runs") + 1)
            log.info(result)
            return result

    return run


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """For a job that takes seconds: whether to end early, because the cluster or this worker must stop.

    A SIGTERM for this worker alone takes effect when the job has recorded its work. Raises JobStopped from within an exchange
    with another program that takes longer than a second then.
    """
    with stop_on_signals(signal.SIGTERM) as flag:

        def stop() -> bool:
            return flag.stop() or (cluster_stop_flag is not None and cluster_stop_flag.value > 0)

        def check_stop() -> None:
            if stop():
                raise JobStopped

        with while_waiting(check_stop):
            yield stop
    if flag.signal:
        os.kill(os.getpid(), flag.signal)


def _save_run(name: str, **columns: object) -> None:
    row = JobRun.objects.filter(name=name)
    if not row.update(**columns):
        with suppress(IntegrityError):  # another worker made it first
            JobRun.objects.create(name=name)
        row.update(**columns)
