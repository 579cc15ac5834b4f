"""Formats of times, durations and numbers in the batches CSV (domain.md 1). Times are local, in TIME_ZONE."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from django.utils import timezone as django_timezone

MAX_NUMBER = 2**31 - 1
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH_NAME = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\.?,? )?"
_DATES = (
    r"(?P<year>\d{4})(?P<separator>[-/.])(?P<month>\d\d?)(?P=separator)(?P<day>\d\d?)",
    # Day and month in either order: read if only one of them is possible.
    r"(?P<first>\d\d?)(?P<separator>[-/.])(?P<second>\d\d?)(?P=separator)(?P<year>\d{4})",
    rf"{_WEEKDAY}(?P<day>\d\d?)(?:st|nd|rd|th|\.)?[- ]?{_MONTH_NAME},?[- ]?(?P<year>\d{{4}})",
    rf"{_WEEKDAY}{_MONTH_NAME} (?P<day>\d\d?)(?:st|nd|rd|th)?,? (?P<year>\d{{4}})",
)
_CLOCK = (
    r"(?:(?: at |[ _t]|, ?)(?P<hour>\d\d?)(?:[_:](?P<minute>\d\d)(?:[_:](?P<seconds>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"(?: ?(?P<half>[ap])\.?m\.?)?(?: ?(?P<offset>z|utc|gmt|[+-]\d\d(?::?\d\d)?))?)?"
)
_TIMES = [re.compile(date + _CLOCK, re.ASCII) for date in _DATES]
_CUT_TIME = re.compile(r"(\d\d?):(\d\d)[.,](\d)", re.ASCII)
_DURATION = re.compile(r"(-?)(\d{1,7}):([0-5]\d):([0-5]\d)", re.ASCII)
_NUMBER = re.compile(r"(\d{1,10})(?:\.0+)?", re.ASCII)


class InvalidCell(ValueError):
    """A cell that its column can't hold; the text says what it is not."""


def parse_time(text: str) -> datetime:
    """A time, or a date (its first moment); local, unless it has an offset. Raises InvalidCell if it is ambiguous, too."""
    match = _match_time(text)
    if not match:
        raise InvalidCell("not a time such as 2024-09-11_18_25, 2024-09-11 17_35 or 2024-09-11 17:26:17.612")
    if not 1900 <= int(match["year"]) < 3000:
        # At the ends of the calendar the time in another zone would be outside of it.
        raise InvalidCell("not a time between the years 1900 and 3000")
    dates = _dates(match)
    if len(dates) > 1:
        raise InvalidCell("ambiguous: day and month could be in either order; use 2024-09-11 17_35")
    try:
        return _time_on(dates[0], match)
    except (ValueError, OverflowError) as error:
        raise InvalidCell(f"not a time: {error}") from error


def is_same_time(text: str, time: datetime) -> bool:
    """Whether the text is what a spreadsheet leaves of this time: `33:41.8`, or a date whose order is unknown."""
    local = django_timezone.localtime(time)
    if match := _CUT_TIME.fullmatch(text):
        minute, second, tenth = map(int, match.groups())
        # Spreadsheets round to the tenth.
        rounded = local + timedelta(milliseconds=50)
        seen = {(moment.minute, moment.second, moment.microsecond // 100_000) for moment in (local, rounded)}
        return (minute, second, tenth) in seen
    match = _match_time(text)
    # A text that can be read is what it says; one without a clock says too little.
    if not match or not match["hour"] or len(dates := _dates(match)) < 2:
        return False
    with suppress(ValueError, OverflowError):
        exact = timedelta(seconds=1) if match["seconds"] else timedelta(minutes=1)
        return any(timedelta() <= time - _time_on(date, match) < exact for date in dates)
    return False


def _match_time(text: str) -> re.Match[str] | None:
    plain = " ".join(text.lower().split())
    return next(filter(None, (pattern.fullmatch(plain) for pattern in _TIMES)), None)


def _dates(match: re.Match[str]) -> list[tuple[int, int, int]]:
    """Year, month and day: two readings if their order is not known."""
    parts = match.groupdict()
    year = int(parts["year"])
    if name := parts.get("name"):
        return [(year, _MONTHS.index(name[:3]) + 1, int(parts["day"]))]
    if "month" in parts:
        return [(year, int(parts["month"]), int(parts["day"]))]
    first, second = int(parts["first"]), int(parts["second"])
    both = {(year, month, day) for month, day in ((first, second), (second, first)) if month <= 12}
    return sorted(both) or [(year, first, second)]


def _time_on(date: tuple[int, int, int], match: re.Match[str]) -> datetime:
    """The time on this date. Raises ValueError and OverflowError."""
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "seconds"))
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError("hour must be in 1..12 with AM and PM")
        hour = hour % 12 + (12 if match["half"] == "p" else 0)
    elif match["hour"] and not match["minute"]:
        raise ValueError("the minute is missing")
    offset = match["offset"]
    zone: tzinfo = django_timezone.get_default_timezone() if offset is None else UTC
    if offset and offset[0] in "+-":
        length = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:].lstrip(":") or 0))
        zone = timezone(-length if offset[0] == "-" else length)
    microsecond = int((match["fraction"] or "0").ljust(6, "0")[:6])
    return datetime(*date, hour, minute, second, microsecond, tzinfo=zone).astimezone(UTC)


def format_time(time: datetime | None) -> str:
    """`2024-09-11_18_25` for a whole minute, otherwise `2024-09-11_17_26_17.612`; empty for None.

    A spreadsheet takes neither for a time: it would show, and save, `26:17.6`. In the hour that occurs twice when clocks go
    back, the offset follows, to tell which of the two it is.
    """
    if time is None:
        return ""
    local = django_timezone.localtime(time)
    offset = f"{local:%z}" if local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset() else ""
    day = local.date().isoformat()
    if not (local.second or local.microsecond // 1000):
        return f"{day}_{local:%H_%M}{offset and ' ' + offset}"
    return f"{day}_{local:%H_%M_%S}.{local.microsecond // 1000:03}{offset and ' ' + offset}"


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
    match = _NUMBER.fullmatch(text)
    if not match or int(match[1]) > MAX_NUMBER:
        raise InvalidCell(f"not a whole number from 0 to {MAX_NUMBER}")
    return int(match[1])


def format_number(number: int | None) -> str:
    """Its digits; empty for None."""
    return "" if number is None else str(number)
