"""System checks: what is wrong with the environment, each with an id and a way out."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from loader.fn4.responses import READ_SECONDS

SPARE = 30
"""Seconds in which a stretch that is over still inserts what it has made ready, and some to spare."""


@register("fnloader")
def environment(**kwargs: Any) -> list[CheckMessage]:  # noqa: ANN401, ARG001 - Django's signature
    """What `fnloader_site.env` noted while the settings were read."""
    return [Error(problem.message, hint=problem.hint, id=problem.id) for problem in settings.SETTINGS_PROBLEMS]


@register("fnloader")
def jobs(**kwargs: Any) -> list[CheckMessage]:  # noqa: ANN401, ARG001 - Django's signature
    """Settings of django-q2 with which jobs run twice at once, are cut off in an insert, or come in heaps."""
    cluster = settings.Q_CLUSTER
    timeout, retry = cluster.get("timeout") or 0, cluster.get("retry") or 0
    longest = settings.JOB_STRETCH + SPARE + max(settings.FN4_INSERT_DEADLINE, READ_SECONDS)
    wrong = (
        (
            timeout <= longest,
            "E_JOB_TIMEOUT",
            f"A job may take {timeout} s, and a stretch with its last insert {longest:.0f} s: it would be cut off.",
            "Set JOB_TIMEOUT higher, or JOB_STRETCH or FN4_INSERT_DEADLINE lower.",
        ),
        (
            retry <= timeout,
            "E_JOB_RETRY",
            f"Q_CLUSTER['retry'] ({retry} s) is not above its 'timeout' ({timeout} s): a job would run twice at once.",
            "Set JOB_TIMEOUT only, and leave Q_CLUSTER as it is.",
        ),
        (
            cluster.get("catch_up", True),
            "E_JOB_CATCH_UP",
            "Q_CLUSTER['catch_up'] is on: after a pause every missed run would come at once.",
            "Set it to False: what was missed stands in the tables, and one run finds it.",
        ),
    )
    return [Error(message, hint=hint, id=f"fnloader.{name}") for is_wrong, name, message, hint in wrong if is_wrong]
