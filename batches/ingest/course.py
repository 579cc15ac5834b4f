"""Sums up the counts after each upload of a batch: when it began to drain, how long it paused, how long it was followed.

Between two counts that differ, something changed at an unknown moment. So a pause has two lengths: the time in which counts were
the same, and the time in which nothing may have changed, from the count before to the one after.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet, Sum

from batches.choices import FINISHED, StepKind
from batches.models import Batch, BatchRecord, BatchStep, IngestCheck, IngestCount, IngestCourse

PAUSE = timedelta(seconds=30)
"""A shorter time without a change is not called a pause."""


class CountPoint(NamedTuple):
    """One count, as far as a course needs it."""

    pk: int
    at: datetime
    remaining: int
    digest: str


class Pause(NamedTuple):
    """A time in which counts were the same."""

    start: datetime
    """First of these counts."""
    end: datetime
    """Last of them."""
    after: datetime
    """The count before them."""
    before: datetime | None
    """The count after them; None: nothing has changed since."""
    remaining: int

    @property
    def length(self) -> timedelta:
        """How long nothing changed at least."""
        return self.end - self.start

    @property
    def possible(self) -> timedelta:
        """How long nothing changed at most."""
        return (self.before or self.end) - self.after


def pauses(points: Iterable[CountPoint], began_at: datetime) -> Iterator[Pause]:
    """All times with the same counts, in their order, also those of a single count."""
    pause: Pause | None = None
    digest = ""
    for point in points:
        if pause and (point.remaining, point.digest) == (pause.remaining, digest):
            pause = pause._replace(end=point.at)
            continue
        if pause:
            yield pause._replace(before=point.at)
        pause = Pause(point.at, point.at, pause.end if pause else min(began_at, point.at), None, point.remaining)
        digest = point.digest
    if pause:
        yield pause


def add_count(course: IngestCourse, point: CountPoint) -> None:
    """Adds the next count to a course."""
    course.last_count = max(course.last_count, point.pk)
    course.counts += 1
    if (point.remaining, point.digest) != (course.remaining, course.digest):
        if course.remaining:
            _end_pause(course, point.at)
        if point.remaining < course.remaining and not course.progress_at:
            course.progress_at = point.at
        course.changed_after, course.same_since = course.counted_at, point.at
        course.remaining, course.digest = point.remaining, point.digest
    course.counted_at = point.at


def _end_pause(course: IngestCourse, changed_at: datetime) -> None:
    pause = Pause(course.same_since, course.counted_at, course.changed_after, changed_at, course.remaining)
    if pause.length >= PAUSE:
        course.pauses += 1
        course.paused_seconds += pause.length.total_seconds()
    course.longest_pause = max(course.longest_pause, pause.length.total_seconds())
    course.longest_possible = max(course.longest_possible, pause.possible.total_seconds())


def update_courses(batch: Batch, *, log_was_read: bool = False) -> None:
    """Adds the counts that were made since to the courses of a batch; with `log_was_read` also the tries.

    Each count is added once, whoever calls it, and when.
    """
    with transaction.atomic():
        Batch.objects.select_for_update().only("pk").get(pk=batch.pk)
        courses = {course.began_at: course for course in IngestCourse.objects.filter(batch=batch)}
        changed: dict[datetime, IngestCourse] = {}
        boundaries = _boundaries(batch)
        for point in _counts_after(batch, max((course.last_count for course in courses.values()), default=0)):
            index = bisect_right(boundaries, point.at, key=lambda boundary: boundary.at) - 1
            began_at = boundaries[index].began_at if index >= 0 else min(courses, default=point.at)
            if began_at is None:
                continue
            if began_at not in courses:
                courses[began_at] = _begin(batch, began_at, point)
            # A slow count may be written after a later one.
            if point.at >= courses[began_at].counted_at:
                add_count(courses[began_at], point)
                changed[began_at] = courses[began_at]
        latest = max(courses, default=None)
        if latest and batch.messages_read_at and (log_was_read or courses[latest].tried is None):
            changed[latest] = courses[latest]
            tried = BatchRecord.objects.filter(batch=batch, tries__gt=0).aggregate(
                tries=Sum("tries"), tried=Count("pk")
            )
            courses[latest].tries, courses[latest].tried = tried["tries"] or 0, tried["tried"]
        for course in changed.values():
            course.save()


def course_points(batch: Batch, course: IngestCourse) -> Iterator[CountPoint]:
    """The counts that a course sums up."""
    boundaries = _boundaries(batch)
    end = next((boundary.at for boundary in boundaries if boundary.at > course.began_at), None)
    for point in _counts_after(batch, 0):
        if point.at >= course.began_at and not (end and point.at >= end):
            yield point


def latest_course(batch: Batch) -> IngestCourse | None:
    """The course of its last upload, brought up to date; None: it was never counted."""
    update_courses(batch)
    return IngestCourse.objects.filter(batch=batch).order_by("-began_at").first()


def batches_to_sum_up() -> QuerySet[Batch]:
    """Batches with a result of their own counts and without a course: those of an earlier version; the oldest first."""
    courses, ended = (
        IngestCourse.objects.filter(batch=OuterRef("pk")),
        IngestCheck.objects.filter(batch=OuterRef("pk"), verdict__in=FINISHED),
    )
    return Batch.objects.filter(Exists(ended), ~Exists(courses)).order_by("pk")


def sum_up_earlier(limit: int | None = None) -> bool:
    """Makes the courses of `batches_to_sum_up`, at most `limit`; returns whether some are left."""
    batches = list(batches_to_sum_up()[: limit and limit + 1])
    for batch in batches[:limit]:
        update_courses(batch)
    return limit is not None and len(batches) > limit


class _Boundary(NamedTuple):
    """A step that changed which objects are there."""

    at: datetime
    began_at: datetime | None
    """When the course after it began; None: there is none."""


def _boundaries(batch: Batch) -> Sequence[_Boundary]:
    """From its history; nothing else puts or deletes objects, but the ingest."""
    kinds = (StepKind.UPLOAD, StepKind.CLEAR, StepKind.ROLLBACK_UPLOAD)
    steps = BatchStep.objects.filter(batch=batch, kind__in=kinds).order_by("began_at", "pk")
    return [
        _Boundary(began_at, ended_at if kind == StepKind.UPLOAD else None)
        for kind, began_at, ended_at in steps.values_list("kind", "began_at", "ended_at")
    ]


def _counts_after(batch: Batch, last_count: int) -> Iterator[CountPoint]:
    counts = IngestCount.objects.filter(check_run__batch=batch, pk__gt=last_count).order_by("counted_at", "pk")
    rows = counts.values_list("pk", "counted_at", "remaining", "digest").iterator()
    return map(CountPoint._make, rows)


def _begin(batch: Batch, began_at: datetime, point: CountPoint) -> IngestCourse:
    has_progress = bool(batch.upload_oks and point.remaining < batch.upload_oks)
    return IngestCourse(
        batch=batch,
        began_at=began_at,
        last_count=point.pk,
        counted_at=point.at,
        remaining=point.remaining,
        digest=point.digest,
        same_since=point.at,
        changed_after=min(began_at, point.at),
        progress_at=point.at if has_progress else None,
    )
