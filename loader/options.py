"""Arguments that several commands of the loader take; each says what is allowed."""

from __future__ import annotations

import argparse
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime


def database(text: str) -> str:
    """An argument that names a database of the settings."""
    if text not in settings.DATABASES:
        raise argparse.ArgumentTypeError(
            f"there is no database '{text}' here (known: {', '.join(settings.DATABASES)}); "
            f"set DATABASE_URL_{text.upper()} to have it"
        )
    return text


def moment(text: str) -> datetime:
    """An argument that is a date or a time; without an offset it is read in TIME_ZONE."""
    try:
        at = parse_datetime(text)
        day = None if at else parse_date(text)
    except ValueError:
        at = day = None
    if day:
        at = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - made aware below
    if not at:
        raise argparse.ArgumentTypeError(f"'{text}' is no time: give 2026-01-31 or 2026-01-31T18:25")
    return at if timezone.is_aware(at) else timezone.make_aware(at)
