"""How fast a batch drains and when it will be empty, from counts alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from batches.ingest.forecast import Forecast, Point, downsample, forecast, forecast_text

START = datetime(2026, 1, 1, tzinfo=UTC)


def points(*counts: int, every: float = 10) -> list[Point]:
    return [Point(START + timedelta(seconds=every * number), one) for number, one in enumerate(counts)]


def of(*counts: int, every: float = 10) -> Forecast:
    found = forecast(points(*counts, every=every))
    assert found
    return found


def test_a_steady_drain_ends_when_its_rate_says() -> None:
    found = of(100, 90, 80, 70, 60, 50)
    assert (found.remaining, found.rate, found.stalled) == (50, 1.0, False)
    assert found.earliest == found.latest == found.at + timedelta(seconds=50)


def test_an_unsteady_drain_has_a_range_from_its_fastest_to_its_slowest_rate() -> None:
    slower = of(1000, 800, 600, 500, 450, 425)
    assert slower.earliest
    assert slower.latest
    assert slower.earliest < slower.latest
    assert slower.rate == 2.5, "the rate that is told is the latest one"
    assert slower.latest == slower.at + timedelta(seconds=425 / 2.5)


def test_without_progress_for_long_there_is_no_forecast_but_the_time_it_lasts() -> None:
    found = of(100, 50, 50, 50, 50)
    assert found.stalled
    assert (found.rate, found.earliest, found.latest) == (None, None, None)
    assert found.idle == timedelta(seconds=30)
    assert forecast_text(found) == "50 objects remaining, no progress for 00:00:30"
    assert not of(100, 50, 50, 50, 50, every=1).stalled


def test_one_count_says_what_is_left_and_nothing_more() -> None:
    assert forecast([]) is None
    found = of(7)
    assert (found.remaining, found.rate, found.earliest, found.stalled) == (7, None, None, False)
    assert forecast_text(found) == "7 objects remaining"


def test_an_empty_bucket_needs_no_forecast() -> None:
    found = of(5, 0)
    assert (found.remaining, found.rate, found.earliest, found.stalled) == (0, None, None, False)


def test_what_was_before_more_was_put_says_nothing() -> None:
    assert of(100, 10, 100, 90, 80).rate == 1.0
    rising = of(10, 20)
    assert (rising.rate, rising.earliest) == (None, None)


def test_the_same_moment_twice_is_no_division_by_zero() -> None:
    assert of(9, 8, every=0).rate is None


def test_it_says_rate_and_range_in_words() -> None:
    assert forecast_text(of(100, 90, 80)) == "80 objects remaining, 1 per second, empty 00:01:40 to 00:01:40"
    assert forecast_text(of(10**6, 10**6 - 10)) == (
        "999,990 objects remaining, 1 per second, empty 2026-01-12 13:46:40 to 2026-01-12 13:46:40"
    )


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    many = points(*range(10_000, 0, -1))
    few = downsample(many, 500)
    assert len(few) == 500
    assert (few[0], few[-1]) == (many[0], many[-1])
    assert downsample(few, 500) == few
