"""How the batches CSV spells times, durations and numbers, and how they are read (domain.md 1). Times are local, in TIME_ZONE."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from django.utils import timezone as here

LARGEST_NUMBER = 2**31 - 1
# 2024-09-11_18_25, 2024-09-11 17_35, 2024-09-11 17:26:17.612, and what lies between them.
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ _T](\d\d)[_:](\d\d)(?:[_:](\d\d)(?:[.,](\d{1,9}))?)?(?: ?(Z|[+-]\d\d:?\d\d))?", re.ASCII
)
_DURATION = re.compile(r"(-?)(\d{1,7}):([0-5]\d):([0-5]\d)", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)


class InvalidCell(ValueError):
    """A cell that its typed column can't hold; the text says what would be one."""


def parse_time(text: str) -> datetime:
    """A time in one of the spellings; local, unless it names its offset. Raises Unreadable."""
    found = _TIME.fullmatch(text)
    if not found:
        raise InvalidCell("no time such as 2024-09-11_18_25, 2024-09-11 17_35 or 2024-09-11 17:26:17.612")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if not 1900 <= int(year) < 3000:
        # At the ends of the calendar another zone's time would be outside of it.
        raise InvalidCell("no time of this age")
    date, clock = (int(year), int(month), int(day)), (int(hour), int(minute), int(second or 0))
    microsecond = int((fraction or "0").ljust(6, "0")[:6])
    try:
        return datetime(*date, *clock, microsecond, tzinfo=_zone(offset)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidCell(f"no time: {error}") from error


def format_time(when: datetime | None) -> str:
    """`2024-09-11_18_25` for a whole minute, else `2024-09-11 17:26:17.612`; empty for none.

    In the hour that clocks go through twice in autumn the offset follows, for nothing else says which of the two it is.
    """
    if when is None:
        return ""
    local = here.localtime(when)
    offset = f"{local:%z}" if local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset() else ""
    day = local.date().isoformat()
    if not (local.second or local.microsecond // 1000):
        return f"{day}_{local:%H_%M}{offset and ' ' + offset}"
    return f"{day} {local:%H:%M:%S}.{local.microsecond // 1000:03}{offset and ' ' + offset}"


def parse_duration(text: str) -> timedelta:
    """`HH:MM:SS`, hours may exceed 24. Raises Unreadable."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise InvalidCell("no duration such as 27:05:59")
    sign, hours, minutes, seconds = found.groups()
    length = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    return -length if sign else length


def parse_number(text: str) -> int:
    """A count. Raises Unreadable."""
    if not _NUMBER.fullmatch(text) or int(text) > LARGEST_NUMBER:
        raise InvalidCell(f"no whole number from 0 to {LARGEST_NUMBER}")
    return int(text)


def format_number(number: int | None) -> str:
    """Its digits; empty for none."""
    return "" if number is None else str(number)


def _zone(offset: str | None) -> tzinfo:
    if offset is None:
        return here.get_default_timezone()
    if offset == "Z":
        return UTC
    length = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    return timezone(-length if offset[0] == "-" else length)
