"""System checks of the settings, each with an id and a hint."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from loader.fn4.responses import READ_SECONDS
from objectstores import Misconfigured, open_store

MARGIN = 30
"""Seconds in which a job still inserts prepared samples after its time slice."""


@register("fnloader")
def environment(**kwargs: Any) -> list[CheckMessage]:  # noqa: ANN401, ARG001 - Django's signature
    """Reports what `fnloader_site.env` recorded while the settings were read."""
    return [Error(problem.message, hint=problem.hint, id=problem.id) for problem in settings.SETTINGS_PROBLEMS]


@register("fnloader")
def batch_folder(**kwargs: Any) -> list[CheckMessage]:  # noqa: ANN401, ARG001 - Django's signature
    """Reports a BATCH_STORE_URL that is a folder, and not one of FILE_STORES."""
    if settings.BATCH_STORE_URL.startswith("file:"):
        try:
            open_store(settings.BATCH_STORE_URL).close()
        except Misconfigured:
            text = "Invalid BATCH_STORE_URL: expected a folder in one that FILE_STORES names"
            hint = "Add the folder to FILE_STORES, such as FILE_STORES=/data/queue:/data/batches."
            return [Error(text, hint=hint, id="fnloader.E_BATCH_STORE_URL")]
    return []


@register("alarms")
def alarm_urls(**kwargs: Any) -> list[CheckMessage]:  # noqa: ANN401, ARG001 - Django's signature
    """Reports URLs that apprise does not know; with its own tag, as commands need not import it."""
    from core.alarms.chats import is_known

    hint = "See the list of services and the form of their URLs at https://appriseit.com, and docs/alarms.md."
    return [
        Error(f"Invalid ALARM_URLS: URL {number} is not one that apprise knows", hint=hint, id="fnloader.E_ALARM_URLS")
        for number, url in enumerate(settings.ALARM_URLS, start=1)
        if not is_known(url)
    ]


@register("fnloader")
def jobs(**kwargs: Any) -> list[CheckMessage]:  # noqa: ANN401, ARG001 - Django's signature
    """Reports settings of django-q2 with which jobs run twice, are killed during an insert, or pile up."""
    cluster = settings.Q_CLUSTER
    timeout, retry = cluster.get("timeout") or 0, cluster.get("retry") or 0
    longest = settings.JOB_STRETCH + MARGIN + max(settings.FN4_INSERT_DEADLINE, READ_SECONDS)
    rules = (
        (
            timeout <= longest,
            "E_JOB_TIMEOUT",
            f"Invalid JOB_TIMEOUT: {timeout} s would kill a job during its last insert; expected more than {longest:.0f} s",
            "Raise JOB_TIMEOUT, or lower JOB_STRETCH or FN4_INSERT_DEADLINE.",
        ),
        (
            retry <= timeout,
            "E_JOB_RETRY",
            f"Invalid Q_CLUSTER: retry ({retry} s) must exceed timeout ({timeout} s), else a job runs twice at once",
            "Set JOB_TIMEOUT, and do not change Q_CLUSTER.",
        ),
        (
            cluster.get("catch_up", True),
            "E_JOB_CATCH_UP",
            "Invalid Q_CLUSTER: with catch_up, all missed runs start at once after a pause",
            "Set catch_up to False: one run finds all that is due.",
        ),
    )
    return [Error(message, hint=hint, id=f"fnloader.{name}") for broken, name, message, hint in rules if broken]
