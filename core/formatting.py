"""Times, durations, counts and tables as text, for commands and pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.timesince import timesince


def format_time(when: datetime | None) -> str:
    """A time in TIME_ZONE, to the second; empty for none."""
    return f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S}" if when else ""


def format_duration(duration: timedelta | None) -> str:
    """`HH:MM:SS`, hours may exceed 24; empty for none."""
    if duration is None:
        return ""
    seconds = round(duration.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def format_age(when: datetime) -> str:
    """Time since then, in one unit: `5 minutes`."""
    # If that clock is ahead of ours, timesince returns 0 minutes.
    text = timesince(when, depth=1)
    return "less than a minute" if text.startswith("0") else text


def printable(text: str | None) -> str:
    """External text as one line without control characters."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text or "")


def text_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines with aligned columns, numbers right-aligned."""
    cells = [[printable(str("" if value is None else value)) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    is_number = [
        bool(cells) and all(text.replace(",", "").isdigit() or not text for text in column)
        for column in ([row[index] for row in cells] for index in range(len(header)))
    ]
    return [
        "  ".join(
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in [list(header), *cells]
    ]


def pluralize(number: int, noun: str, nouns: str = "") -> str:
    """`1 file`, `1,200 files`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def first_line(error: BaseException, *, empty: str = "") -> str:
    """The first line of its text; `empty`, or else its type, if it has none. Database drivers add lines of details."""
    return (str(error).strip() or empty or type(error).__name__).splitlines()[0]
