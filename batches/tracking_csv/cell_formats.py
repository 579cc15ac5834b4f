"""Formats of times, durations and numbers in the batches CSV (domain.md 1). Times are local, in TIME_ZONE."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from django.utils import timezone as django_timezone

MAX_NUMBER = 2**31 - 1
# 2024-09-11_18_25, 2024-09-11 17_35, 2024-09-11 17:26:17.612, and forms between them.
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ _T](\d\d)[_:](\d\d)(?:[_:](\d\d)(?:[.,](\d{1,9}))?)?(?: ?(Z|[+-]\d\d:?\d\d))?", re.ASCII
)
_DURATION = re.compile(r"(-?)(\d{1,7}):([0-5]\d):([0-5]\d)", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)


class InvalidCell(ValueError):
    """A cell that its column can't hold; the text says what it is not."""


def parse_time(text: str) -> datetime:
    """A time in one of the formats; local, unless it has an offset. Raises InvalidCell."""
    match = _TIME.fullmatch(text)
    if not match:
        raise InvalidCell("not a time such as 2024-09-11_18_25, 2024-09-11 17_35 or 2024-09-11 17:26:17.612")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    if not 1900 <= int(year) < 3000:
        # At the ends of the calendar the time in another zone would be outside of it.
        raise InvalidCell("not a time between the years 1900 and 3000")
    date, clock = (int(year), int(month), int(day)), (int(hour), int(minute), int(second or 0))
    zone: tzinfo = django_timezone.get_default_timezone() if offset is None else UTC
    if offset and offset != "Z":
        length = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
        zone = timezone(-length if offset[0] == "-" else length)
    microsecond = int((fraction or "0").ljust(6, "0")[:6])
    try:
        return datetime(*date, *clock, microsecond, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidCell(f"not a time: {error}") from error


def format_time(time: datetime | None) -> str:
    """`2024-09-11_18_25` for a whole minute, otherwise `2024-09-11 17:26:17.612`; empty for None.

    In the hour that occurs twice when clocks go back, the offset follows, to tell which of the two it is.
    """
    if time is None:
        return ""
    local = django_timezone.localtime(time)
    offset = f"{local:%z}" if local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset() else ""
    day = local.date().isoformat()
    if not (local.second or local.microsecond // 1000):
        return f"{day}_{local:%H_%M}{offset and ' ' + offset}"
    return f"{day} {local:%H:%M:%S}.{local.microsecond // 1000:03}{offset and ' ' + offset}"


def parse_duration(text: str) -> timedelta:
    """`HH:MM:SS`, hours may exceed 24. Raises InvalidCell."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise InvalidCell("not a duration such as 27:05:59")
    sign, hours, minutes, seconds = match.groups()
    length = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    return -length if sign else length


def parse_number(text: str) -> int:
    """A count. Raises InvalidCell."""
    if not _NUMBER.fullmatch(text) or int(text) > MAX_NUMBER:
        raise InvalidCell(f"not a whole number from 0 to {MAX_NUMBER}")
    return int(text)


def format_number(number: int | None) -> str:
    """Its digits; empty for None."""
    return "" if number is None else str(number)
