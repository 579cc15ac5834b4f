"""What is due by the database's clock, also when that clock was ahead and was set back.

A time that is further in the future than a right clock could have written counts as due: nothing waits for a wrong hour.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far the clocks of two hosts may differ, and a statement may wait for the one before it."""


def older_than(field: str, period: timedelta) -> Q:
    """For a column that holds when something happened: empty, longer ago than the period, or in the future."""
    return Q(**{field: None}) | Q(**{f"{field}__lt": Now() - period}) | Q(**{f"{field}__gt": Now() + CLOCK_TOLERANCE})


def reached(field: str, longest: timedelta) -> Q:
    """For a column that holds until when to wait: empty, reached, or further ahead than the longest wait."""
    ahead = Now() + (longest + CLOCK_TOLERANCE)
    return Q(**{field: None}) | Q(**{f"{field}__lte": Now()}) | Q(**{f"{field}__gt": ahead})
