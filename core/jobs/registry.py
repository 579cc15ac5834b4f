"""Which functions background jobs may run: those that the project registered, whatever a schedule or the queue names.

django-q2 runs any function that a schedule or a queued package names by its dotted path. Here only those run that `@job`
decorates in the `tasks.py` of an installed app. Two doors are kept: nothing else is queued (by whoever calls `async_task`,
the scheduler included), and nothing else is handed to a worker. django-q2 signs each package with SECRET_KEY, and JOB_QUEUE
as the salt; a package is unpickled only after its signature was checked.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.utils.module_loading import autodiscover_modules
from django_q.signals import pre_enqueue
from django_q.signing import SignedPackage

_names: set[str] = set()


class RefusedJobError(ValueError):
    """What should run is not a job of this project."""


def register(name: str) -> None:
    """Lets the function of this dotted name run as a job."""
    _names.add(name)


def refusal(function: object, **extras: object) -> str:
    """Why a job with these extras (a hook, a chain) may not run; empty if it may."""
    _discover()
    if not isinstance(function, str) or function not in _names:
        return f"{function!r} is not a job of this project"
    wrong = sorted(name for name, value in extras.items() if value)
    return f"a job has no {' and no '.join(wrong)} here" if wrong else ""


def open_package(package: str | bytes) -> dict[str, Any]:
    """The job in a package of the queue. Raises RefusedJobError if our key did not sign it, or it names any other function."""
    try:
        job: dict[str, Any] = SignedPackage.loads(package)
    except Exception as error:
        # Bytes of any kind, from whoever can write into the broker.
        raise RefusedJobError(f"not signed with this site's SECRET_KEY ({type(error).__name__})") from error
    _check(job)
    return job


def _check(task: dict[str, Any], **_: Any) -> None:  # noqa: ANN401 - what the signal sends
    if text := refusal(task["func"], hook=task.get("hook"), chain=task.get("chain")):
        raise RefusedJobError(text)


@cache
def _discover() -> None:
    autodiscover_modules("tasks")


pre_enqueue.connect(_check, dispatch_uid="fnloader.jobs")
