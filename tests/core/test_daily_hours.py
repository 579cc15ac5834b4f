"""Hours of the day: what they include, when they begin next, also when the clock changes, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from core.daily_hours import DailyHours

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(BERLIN)


@pytest.mark.parametrize(
    ("hours", "moment", "included", "next_start"),
    [
        ("19:00-06:00", "2026-03-03T18:59:59+01:00", False, "2026-03-03T19:00:00+01:00"),
        ("19:00-06:00", "2026-03-03T19:00:00+01:00", True, "2026-03-04T19:00:00+01:00"),
        ("19:00-06:00", "2026-03-04T05:59:59+01:00", True, "2026-03-04T19:00:00+01:00"),
        ("19:00-06:00", "2026-03-04T06:00:00+01:00", False, "2026-03-04T19:00:00+01:00"),
        ("20:00-24:00, 1:30-04:00", "2026-03-04T00:10:00+01:00", False, "2026-03-04T01:30:00+01:00"),
        ("20:00-24:00, 1:30-04:00", "2026-03-04T23:59:00+01:00", True, "2026-03-05T01:30:00+01:00"),
        ("00:00-24:00", "2026-03-04T12:00:00+01:00", True, "2026-03-05T00:00:00+01:00"),
        # A Friday and a Saturday.
        ("19:00-06:00,sat,Sun", "2026-03-06T12:00:00+01:00", False, "2026-03-06T19:00:00+01:00"),
        ("sat,sun", "2026-03-06T12:00:00+01:00", False, "2026-03-07T00:00:00+01:00"),
        ("sat,sun", "2026-03-07T12:00:00+01:00", True, "2026-03-08T00:00:00+01:00"),
        ("sat", "2026-03-07T12:00:00+01:00", True, "2026-03-14T00:00:00+01:00"),
        # Clocks go forward from 02:00 to 03:00 on 2026-03-29, and back from 03:00 to 02:00 on 2026-10-25.
        ("19:00-06:00", "2026-03-29T05:30:00+02:00", True, "2026-03-29T19:00:00+02:00"),
        ("19:00-06:00", "2026-03-28T12:00:00+01:00", False, "2026-03-28T19:00:00+01:00"),
        ("06:00-07:00", "2026-03-28T12:00:00+01:00", False, "2026-03-29T06:00:00+02:00"),
        ("02:30-04:00", "2026-03-29T01:59:00+01:00", False, "2026-03-29T03:30:00+02:00"),
        ("02:30-04:00", "2026-03-29T03:00:00+02:00", True, "2026-03-29T03:30:00+02:00"),
        ("02:30-04:00", "2026-10-25T02:15:00+02:00", False, "2026-10-25T02:30:00+02:00"),
        ("02:30-04:00", "2026-10-25T02:15:00+01:00", False, "2026-10-26T02:30:00+01:00"),
        ("19:00-06:00", "2026-10-25T05:30:00+01:00", True, "2026-10-25T19:00:00+01:00"),
    ],
)
def test_hours_are_those_of_the_clock_on_the_wall(hours: str, moment: str, included: bool, next_start: str) -> None:
    parsed = DailyHours.parse(hours)
    assert parsed.include(at(moment)) is included
    assert parsed.next_start(at(moment)).astimezone(UTC) == datetime.fromisoformat(next_start).astimezone(UTC)


def test_without_hours_it_is_always_time() -> None:
    assert DailyHours.parse(" ") == DailyHours()
    assert DailyHours().include(at("2026-03-04T12:00:00+01:00"))


@pytest.mark.parametrize(
    "text",
    [
        "19-06",
        "19:00",
        "19:00-19:00",
        "24:00-06:00",
        "19:00-24:01",
        "19:60-20:00",
        "19:00-20:60",
        "saturday",
        "19:00 to 06:00",
    ],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        DailyHours.parse(text)
