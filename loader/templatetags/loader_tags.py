"""How the loader's pages say outcomes (`{% load loading %}`)."""

from __future__ import annotations

from django import template

from loader.choices import OBJECT_STATE_COLOURS, OUTCOME_COLOURS
from loader.models import BucketObject, LoadAttempt

register = template.Library()


@register.filter
def outcome_colour(attempt: LoadAttempt) -> str:
    """The colour of what became of an attempt, an older loader's, too."""
    if attempt.outcome is None:
        return "green" if attempt.insert_status_code in (200, 201) else "grey"
    return OUTCOME_COLOURS[attempt.outcome]


@register.filter
def state_colour(file: BucketObject) -> str:
    """The colour of where a file stands."""
    return OBJECT_STATE_COLOURS[file.state]
