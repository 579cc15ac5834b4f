"""The simulation from which the scheduled check's options is chosen (bench/verdicts.py)."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from batches.ingest.rule import SCHEDULED, CheckOptions
from bench.drains import Drain, SimulatedIngest
from bench.verdicts import SETTINGS, Setting, SettingResult, check, ends_of, picture, watch

LOOSE, SCHEDULE = SETTINGS[0], SETTINGS[-1]


def test_the_default_is_sometimes_wrong_and_the_scheduled_check_is_not() -> None:
    ends = [ends_of(seed, (LOOSE, SCHEDULE)) for seed in range(60)]
    assert any(loose.wrong for loose, _scheduled in ends)
    assert not any(scheduled.wrong for _loose, scheduled in ends)


def test_the_scheduled_check_waits_longer_than_any_event_does() -> None:
    assert SCHEDULED.sleep >= 30
    assert SCHEDULED.quiet_seconds >= 2 * (120 + 300)


def test_a_verdict_with_errors_is_wrong_while_objects_would_leave_later() -> None:
    paused = Drain(10, [1.0, 2.0, 500.0])
    assert watch(paused, LOOSE, 3.0, Random(1)).wrong
    assert not watch(paused, SCHEDULE, 3.0, Random(1)).wrong


def test_a_bucket_that_is_emptied_is_never_a_wrong_verdict() -> None:
    emptied = Drain(2, [1.0, 900.0])
    end = watch(emptied, Setting("patient", CheckOptions(60, 999, 20)), 0.0, Random(1))
    assert (end.wrong, end.late > 0) == (False, True)


def test_counts_see_what_is_left_at_their_time() -> None:
    verdict, at = check(Drain(3, [10.0]), CheckOptions(30, 1, 1), 0.0)
    assert (verdict, round(at)) == ("in_progress", 31)


def test_an_ingest_is_the_same_for_the_same_chance_and_loses_no_object() -> None:
    for seed in range(20):
        one, again = SimulatedIngest(Random(seed)).drain(), SimulatedIngest(Random(seed)).drain()
        assert one == again
        assert len(one.gone) <= one.number
        assert one.gone == sorted(one.gone)


def test_failed_events_come_back_after_one_and_two_minutes() -> None:
    gaps = []
    for seed in range(100):
        gone = SimulatedIngest(Random(seed)).drain().gone
        gaps.append(max((later - one for one, later in pairwise(gone)), default=0.0))
    assert any(60 <= gap <= 300 for gap in gaps)


def test_the_picture_names_every_setting() -> None:
    found = [
        SettingResult(setting, [ends_of(seed, (setting,))[0] for seed in range(3)]) for setting in (LOOSE, SCHEDULE)
    ]
    drawn = picture(found, 3)
    assert all(setting.name in drawn for setting in (LOOSE, SCHEDULE))
    assert drawn.startswith("<svg")
