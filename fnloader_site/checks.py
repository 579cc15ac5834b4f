"""System checks: what is wrong with the environment, each with an id and a way out."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register("fnloader")
def environment(**kwargs: Any) -> list[CheckMessage]:  # noqa: ANN401, ARG001 - Django's signature
    """What `fnloader_site.env` noted while the settings were read."""
    return [Error(problem.message, hint=problem.hint, id=problem.id) for problem in settings.SETTINGS_PROBLEMS]
