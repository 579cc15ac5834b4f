"""Courses of ingests, and the advice from them: what past counts say about how long to wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from batches.choices import CheckKind, StepKind, Verdict
from batches.ingest.advice import LADDER, MIN_COURSES, advise, replay
from batches.ingest.check import check
from batches.ingest.course import PAUSE, CountPoint, add_count, batches_to_sum_up, latest_course, pauses, update_courses
from batches.ingest.finalize import finalize
from batches.ingest.rule import CheckOptions
from batches.ingest.scheduled import count_once, scheduled_options, watched_options
from batches.lifecycle.clear import clear
from batches.models import Batch, BatchStep, IngestCheck, IngestCount, IngestCourse
from bench.drains import Drain, SimulatedIngest
from bench.verdicts import Setting, watch
from tests.support.shelf import Shelf

pytest_plugins = ["tests.support.shelf"]
pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]

BEGAN = datetime(2026, 3, 1, 8, tzinfo=UTC)
NUMBERS = count()


def counted(seconds_and_remaining: Sequence[tuple[float, int]], rectype: str = "work", uploaded: int = 100) -> Batch:
    """A batch with the counts of one check, at so many seconds after its upload."""
    batch = Batch.objects.create(
        bid=f"b{next(NUMBERS)}",
        rectype=rectype,
        action="CREATE",
        upload_oks=uploaded,
        upload_started=BEGAN,
        upload_finished=BEGAN,
    )
    BatchStep.objects.create(batch=batch, kind=StepKind.UPLOAD, began_at=BEGAN, ended_at=BEGAN, who="w", host="h")
    one = IngestCheck.objects.create(
        batch=batch,
        kind=CheckKind.TICK,
        started_at=BEGAN,
        finished_at=BEGAN,
        store="file:///x",
        sleep_seconds=60,
        checks=1,
        rechecks=1,
        remaining=0,
        verdict=Verdict.COMPLETE,
        asked_by="w",
        host="h",
    )
    add_counts(one, seconds_and_remaining)
    return batch


def add_counts(one: IngestCheck, seconds_and_remaining: Sequence[tuple[float, int]], first: int = 1) -> None:
    IngestCount.objects.bulk_create(
        IngestCount(
            check_run=one,
            number=number,
            counted_at=BEGAN + timedelta(seconds=seconds),
            remaining=remaining,
            digest=str(remaining),
            foreign=0,
            invalid=0,
        )
        for number, (seconds, remaining) in enumerate(seconds_and_remaining, first)
    )


def every_minute(drain: Drain, minutes: int = 31) -> list[tuple[float, int]]:
    """Counts as the scheduled check makes them, until nothing has changed for so many minutes."""
    found = [(0.3, drain.remaining(0.3))]
    while found[-1][1] and found[-1][0] < drain.end + minutes * 60:
        at = found[-1][0] + 60
        found.append((at, drain.remaining(at)))
    return found


def test_a_course_has_the_pauses_of_its_counts() -> None:
    batch = counted([(60, 100), (120, 90), (180, 90), (240, 90), (300, 40), (310, 40), (370, 3), (2200, 3)])
    course = latest_course(batch)
    assert course
    assert (course.counts, course.remaining, course.began_at) == (8, 3, BEGAN)
    assert course.progress_at == BEGAN + timedelta(seconds=120)
    assert (course.longest_pause, course.longest_possible) == (120, 240)
    assert (course.pauses, course.paused_seconds) == (1, 120)
    assert course.counted_at - course.same_since == timedelta(seconds=1830)
    assert str(course) == f"{batch}: 3 remaining after 8 counts"


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 3)), min_size=1, max_size=30),
    st.lists(st.integers(1, 29), max_size=4),
)
def test_a_course_is_the_same_however_often_it_is_brought_up_to_date(
    steps: list[tuple[int, int]], cuts: list[int]
) -> None:
    points, at = [], BEGAN
    for number, (seconds, remaining) in enumerate(steps, 1):
        at += timedelta(seconds=seconds)
        points.append(CountPoint(number, at, remaining, str(remaining)))
    found = list(pauses(points, BEGAN))
    ended = [one for one in found if one.before and one.remaining]
    first = points[0]
    course = IngestCourse(
        last_count=0,
        counted_at=first.at,
        remaining=first.remaining,
        digest=first.digest,
        same_since=first.at,
        changed_after=BEGAN,
    )
    for point in points:
        add_count(course, point)
    assert course.counts == len(points)
    assert course.longest_pause == max((one.length.total_seconds() for one in ended), default=0)
    assert course.longest_possible == max((one.possible.total_seconds() for one in ended), default=0)
    assert course.pauses == sum(one.length >= PAUSE for one in ended)
    assert course.same_since == found[-1].start
    Batch.objects.all().delete()
    batch = counted([])
    one = IngestCheck.objects.get(batch=batch)
    rows = [((point.at - BEGAN).total_seconds(), point.remaining) for point in points]
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(rows)], strict=True):
        add_counts(one, rows[start:end], start + 1)
        update_courses(batch)
    stored = IngestCourse.objects.get(batch=batch)
    names = ("counts", "remaining", "same_since", "changed_after", "counted_at", "longest_pause", "longest_possible")
    assert [getattr(stored, name) for name in names] == [getattr(course, name) for name in names]


def test_an_upload_begins_a_course_and_a_clear_ends_it(shelf: Shelf, settings: Settings) -> None:
    batch = shelf.batch("plc", "a", "b", "c")
    shelf.ingest(batch, "a")
    check(batch, CheckOptions(0, 1, 1), asked_by="w")
    finalize(batch)
    course = latest_course(batch)
    assert course
    assert course.remaining == 2
    batch.refresh_from_db()
    clear(batch, who="w")
    batch.refresh_from_db()
    BatchStep.objects.create(batch=batch, kind=StepKind.ROLLBACK_INGEST, who="w", host="h")
    Batch.objects.update(status="uploaded", upload_oks=1)
    batch.refresh_from_db()
    check(batch, CheckOptions(0, 1, 1), asked_by="w")
    finalize(batch)
    assert [one.remaining for one in IngestCourse.objects.filter(batch=batch)] == [2]


def test_advice_is_right_where_the_simulation_knows_the_truth() -> None:
    drains = [SimulatedIngest(Random(seed)).drain() for seed in range(60)]
    for drain in drains:
        counted(every_minute(drain), uploaded=drain.number)
    for batch in batches_to_sum_up():
        update_courses(batch)
    assert not batches_to_sum_up().exists()
    (advice,) = [one for one in advise() if not one.rectype]
    assert advice.ingests == len(drains)
    for one in advice.replays:
        assert one.right + one.wrong + one.unclear == len(drains)
        ends = [watch(drain, Setting("", one.options), 0.0, Random(1)) for drain in drains]
        assert sum(end.wrong for end in ends) <= one.wrong + one.unclear, one
        assert one.right <= sum(not end.wrong for end in ends), one
    best = advice.recommended
    assert best
    assert best.right == len(drains)
    assert best.options.quiet_seconds < LADDER[-1].quiet_seconds
    assert not any(watch(drain, Setting("", best.options), 0.0, Random(1)).wrong for drain in drains)
    quicker = advice.replays[advice.replays.index(best) - 1]
    assert quicker.wrong or quicker.unclear


def test_too_few_ingests_are_no_advice_and_the_simulation_answers(run: Run) -> None:
    for _ in range(MIN_COURSES - 1):
        counted([(60, 50), (120, 3), (2000, 3)])
    counted([(60, 50), (120, 3), (300, 3)])
    status, text = run("ingstat", "--advise")
    assert status == 0
    assert text.startswith(f"{MIN_COURSES - 1} ingests whose end is known.")
    assert "too few for advice: 20 are needed" in text
    assert "by simulation (docs/batches.md): ingstat BID --sleep 30 --checks 999 --rechecks 5" in text
    assert json.loads(run("ingstat", "--advise", "--json")[1])["advice"][0]["recommended"] is None


def test_the_recommended_options_are_a_line_to_copy_and_a_setting(run: Run, settings: Settings) -> None:
    for _ in range(MIN_COURSES):
        counted([(60, 50), (120, 3), (240, 3), (300, 2), (2200, 2)], rectype="media")
    counted([(10, 0)], rectype="place")
    status, text = run("ingstat", "--advise", "--sleep", "20", "--rechecks", "4")
    assert status == 0
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()[1:] if line.startswith("--sleep")}
    assert rows["--sleep 1.5 --rechecks 1"][-4:] == ["1", "20", "0", "00:00:03"]
    assert rows["--sleep 20 --rechecks 4"][-4:] == ["1", "20", "0", "00:01:40"]
    assert rows["--sleep 30 --checks 999 --rechecks 5"][-4:] == ["1", "0", "20", "00:03:00"]
    assert rows["--sleep 30 --checks 999 --rechecks 9"][-4:] == ["21", "0", "0", "00:05:00"]
    assert (
        "recommended: ingstat BID --sleep 30 --checks 999 --rechecks 9 (right in 21 of 21: with 95 % confidence fewer than"
        " 1 of 7 are wrong; with errors after 00:05:00)" in text
    )
    assert "INGEST_QUIET_MINUTES=5 (now 30)" in text
    assert "media: recommended: ingstat BID --sleep 30 --checks 999 --rechecks 9 (right in 20 of 20" in text
    settings.INGEST_QUIET_MINUTES = 5
    assert scheduled_options().quiet_seconds == watched_options().quiet_seconds == 300
    document = json.loads(run("ingstat", "--advise", "--json")[1])
    assert document["scheduled_quiet_minutes"] == 5
    assert [one["rectype"] for one in document["advice"]] == [None, "media"]


def test_where_no_options_were_right_each_time_it_says_so(run: Run) -> None:
    for _ in range(MIN_COURSES):
        counted([(60, 50), (4000, 50), (4060, 0)])
    text = run("ingstat", "--advise")[1]
    assert "none would have been right each time; the longest pause was 01:05:40." in text


def test_a_result_can_be_replayed(run: Run) -> None:
    batch = counted([(60, 50), (120, 9), (260, 9), (300, 2), (2200, 2)])
    found = {str(one.options): one for one in replay(batch)}
    early, patient = found["--sleep 1.5 --rechecks 1"], found["--sleep 30 --checks 999 --rechecks 9"]
    assert (early.at, early.remaining, early.wrong) == (BEGAN + timedelta(seconds=123), 9, True)
    assert (patient.at, patient.remaining, patient.wrong) == (BEGAN + timedelta(seconds=600), 2, False)
    assert [one.unclear for one in (early, patient)] == [True, False]
    status, text = run("ingstat", batch.bid, "--advise")
    assert status == 0
    assert f"What would have been said about {batch}:" in text
    assert "wrong: it changed after that" in text
    (document,) = json.loads(run("ingstat", batch.bid, "--advise", "--json")[1])
    assert document["id"] == batch.bid
    assert document["options"][0]["wrong"] is True
    new = Batch.objects.create(bid="new", rectype="work", action="CREATE")
    assert run("ingstat", "new", "--advise") == (0, "new was never counted.\n")
    assert replay(new) == []
    emptied = counted([(60, 50), (120, 0)])
    assert {(one.at, one.remaining) for one in replay(emptied)} == {(BEGAN + timedelta(seconds=120), 0)}
    short = counted([(60, 50), (120, 5)])
    assert {(one.at, one.remaining) for one in replay(short)} == {(None, 5)}


def test_the_scheduled_check_waits_as_long_as_the_setting_says(shelf: Shelf, settings: Settings) -> None:
    settings.INGEST_QUIET_MINUTES = 3
    batch = shelf.batch("plc", "a")
    row = count_once(batch)
    assert row
    assert (row.sleep_seconds, row.rechecks) == (60, 2)
