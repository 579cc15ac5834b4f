"""How long to wait before a result is believed: options of a check, replayed over the ingests that were counted to their end.

A check ends as complete with errors once nothing has changed for `quiet_seconds`. So its result would have been wrong where
a pause was at least as long, and right where no pause can have been. In between the counts are too far apart to say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import DurationField, ExpressionWrapper, F, Q, QuerySet

from batches.ingest.course import Pause, course_points, latest_course, pauses
from batches.ingest.rule import SCHEDULED, CheckOptions
from batches.models import Batch, IngestCourse

FOLLOWED = timedelta(seconds=SCHEDULED.quiet_seconds)
"""An end is known if nothing remained, or if nothing changed for this long."""
MIN_COURSES = 20
"""Fewer ingests are too few for advice."""
LADDER = (
    CheckOptions(),
    CheckOptions(5, 999, 1),
    CheckOptions(10, 999, 2),
    CheckOptions(15, 999, 3),
    CheckOptions(30, 999, 3),
    CheckOptions(30, 999, 5),
    CheckOptions(30, 999, 9),
    CheckOptions(60, 999, 9),
    CheckOptions(60, 999, 14),
    CheckOptions(60, 999, 19),
    CheckOptions(60, 999, 29),
)
"""What is compared: from 3 s without a change to half an hour."""
FALLBACK = CheckOptions(30, 999, 5)
"""What bench/verdicts.py recommends for an answer some minutes after the end."""


@dataclass(frozen=True)
class Replay:
    """What some options would have said about past ingests."""

    options: CheckOptions
    right: int
    wrong: int
    unclear: int
    """Counts were too far apart to say."""

    @property
    def may_be_wrong(self) -> float:
        """The share of results that may be wrong though none was, with 95 % confidence (the rule of three, Hanley 1983)."""
        return 3 / self.right if self.right else 1.0

    @property
    def later(self) -> timedelta:
        """How long after the last change a result with errors comes, at the earliest; one without errors comes at once."""
        return timedelta(seconds=self.options.quiet_seconds)


@dataclass(frozen=True)
class Advice:
    """The options that would have been right, over all ingests or those of a record type."""

    rectype: str
    """Empty: of all record types."""
    ingests: int
    """Whose end is known."""
    replays: list[Replay] = field(default_factory=list)
    longest_pause: timedelta = timedelta()

    @property
    def recommended(self) -> Replay | None:
        """The quickest options that would have been right each time; None: too few ingests, or no options were."""
        if self.ingests < MIN_COURSES:
            return None
        return next((one for one in self.replays if not one.wrong and not one.unclear), None)


@dataclass(frozen=True)
class WouldHaveSaid:
    """What some options would have said about one ingest, and when."""

    options: CheckOptions
    at: datetime | None
    """None: nothing yet; it was not followed for long enough."""
    remaining: int
    wrong: bool
    """Something changed after that."""
    unclear: bool = False
    """Perhaps it would have said something earlier: counts were too far apart to say."""


def followed_courses() -> QuerySet[IngestCourse]:
    """Ingests whose end is known."""
    quiet = ExpressionWrapper(F("counted_at") - F("same_since"), output_field=DurationField())
    return IngestCourse.objects.annotate(quiet=quiet).filter(Q(remaining=0) | Q(quiet__gte=FOLLOWED)).order_by("pk")


def advise(options: Sequence[CheckOptions] = ()) -> list[Advice]:
    """Advice over all ingests, and over those of each record type that has enough; one query.

    `options` are compared, too, besides the LADDER.
    """
    rows = followed_courses().values_list("batch__rectype", "longest_pause", "longest_possible")
    by_rectype: dict[str, list[tuple[float, float]]] = {"": []}
    for rectype, longest, possible in rows.iterator():
        by_rectype[""].append((longest, possible))
        by_rectype.setdefault(rectype, []).append((longest, possible))
    compared = _compared(options)
    return [
        _advice(rectype, lengths, compared)
        for rectype, lengths in sorted(by_rectype.items())
        if not rectype or len(lengths) >= MIN_COURSES
    ]


def quiet_setting(options: CheckOptions) -> float:
    """The same as INGEST_QUIET_MINUTES: the scheduled check counts once a minute."""
    return max(2, math.ceil(options.quiet_minutes))


def _compared(options: Sequence[CheckOptions]) -> list[CheckOptions]:
    """They and the LADDER, the quickest first."""
    return sorted({*LADDER, *options}, key=lambda one: (one.quiet_seconds, one.sleep))


def _advice(rectype: str, lengths: Sequence[tuple[float, float]], compared: Iterable[CheckOptions]) -> Advice:
    replays = []
    for options in compared:
        quiet = options.quiet_seconds
        wrong = sum(longest >= quiet for longest, _possible in lengths)
        right = sum(possible < quiet for _longest, possible in lengths)
        replays.append(Replay(options, right, wrong, len(lengths) - wrong - right))
    longest = timedelta(seconds=max((longest for longest, _possible in lengths), default=0))
    return Advice(rectype, len(lengths), replays, longest)


def replay(batch: Batch, options: Sequence[CheckOptions] = ()) -> list[WouldHaveSaid]:
    """What the options would have said about the last ingest of a batch, and when; empty: it was never counted."""
    course = latest_course(batch)
    if course is None:
        return []
    found = list(pauses(course_points(batch, course), course.began_at))
    return [_would_have_said(one, found) for one in _compared(options)]


def _would_have_said(options: CheckOptions, found: Sequence[Pause]) -> WouldHaveSaid:
    quiet = timedelta(seconds=options.quiet_seconds)
    unclear = False
    for pause in found:
        if not pause.remaining:
            return WouldHaveSaid(options, pause.start, 0, wrong=False, unclear=unclear)
        if pause.length >= quiet:
            return WouldHaveSaid(options, pause.start + quiet, pause.remaining, pause.before is not None, unclear)
        unclear = unclear or (pause.before is not None and pause.possible >= quiet)
    return WouldHaveSaid(options, None, found[-1].remaining if found else 0, wrong=False, unclear=unclear)
