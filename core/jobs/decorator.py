"""What all background jobs share: a row that says how each kind ran last, and the word to stop (docs/jobs.md)."""

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

from core.logs import log_context
from core.models import JobRun
from core.processes import stop_on_signals

P = ParamSpec("P")
LONGEST = 1000
cluster_stop_flag: Any = None
"""A number in shared memory, made by `qcluster` before its workers are forked: above 0 once the cluster is told to stop.

It has no lock, as an Event has: whoever is killed while it holds a lock keeps it for ever.
"""

log = logging.getLogger("fnloader.jobs")


def job(function: Callable[P, str]) -> Callable[P, str]:
    """Makes a function a job: what it returns is said in the log and in its JobRun, what it raises, too.

    An error is told and raised; the job is not tried again by itself, its schedule is what tries again.
    """
    name = f"{function.__module__}.{function.__name__}"

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> str:
        with log_context(job=name):
            _note(name, begun_at=Now(), host=settings.HOST_NAME)
            try:
                said = function(*args, **kwargs)
            except (Exception, TimeoutException) as error:
                log.exception("the job failed")
                _note(
                    name,
                    failed_at=Now(),
                    error=f"{type(error).__name__}: {error}"[:LONGEST],
                    failures=F("failures") + 1,
                )
                raise
            _note(name, finished_at=Now(), said=said[:LONGEST], runs=F("runs") + 1)
            log.info(said)
            return said

    return run


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """For a job that takes seconds: whether it is to end early, because the cluster or this worker is told to stop.

    A SIGTERM meant for this worker alone takes effect when the job has recorded what it did.
    """
    with stop_on_signals(signal.SIGTERM) as here:
        yield lambda: here.stop() or (cluster_stop_flag is not None and cluster_stop_flag.value > 0)
    if here.signal:
        os.kill(os.getpid(), here.signal)


def _note(name: str, **columns: object) -> None:
    rows = JobRun.objects.filter(name=name)
    if not rows.update(**columns):
        with suppress(IntegrityError):  # another worker was faster
            JobRun.objects.create(name=name)
        rows.update(**columns)
