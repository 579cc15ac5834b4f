"""What happened to a batch, step by step: who, when, and with which outcome; and its curve as a picture."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batches.choices import CheckKind, StepKind, Verdict
from batches.ingest.forecast import Forecast, Point
from batches.models import Batch, BatchStep, IngestCheck
from core.charts import Chart, Series
from core.formatting import pluralize

MOST = 40
"""So many steps, and so many checks, the latest; `batch show --json` has them all."""
SLOTS = 160
FORESEEN = 2.0
"""The picture goes on to the expected end, for so many times the span that was counted."""


@dataclass(frozen=True)
class TimelineEvent:
    """One line of the history."""

    at: datetime
    what: str
    who: str
    colour: str = "grey"
    note: str = ""


def timeline(batch: Batch) -> list[TimelineEvent]:
    """Latest first; two queries."""
    events = [TimelineEvent(batch.added_at, "added", batch.added_by or "")]
    if batch.mapped_at:
        events.append(TimelineEvent(batch.mapped_at, "mapped", "", note=_mapped(batch)))
    return sorted([*events, *_steps(batch), *_checks(batch)], key=lambda event: event.at, reverse=True)


def _mapped(batch: Batch) -> str:
    failed = f", {pluralize(batch.map_errs, 'error')}" if batch.map_errs else ""
    return f"{batch.map_oks:,} records{failed}" if batch.map_oks is not None else ""


def _steps(batch: Batch) -> Iterator[TimelineEvent]:
    for step in BatchStep.objects.filter(batch=batch).order_by("-began_at", "-pk")[:MOST]:
        upload = step.kind == StepKind.UPLOAD
        numbers = f"{step.oks:,} uploaded, {step.errs or 0:,} not" if upload and step.oks is not None else ""
        left_open = "not ended" if not step.ended_at else ""
        note = ". ".join(text for text in (left_open, numbers, step.note) if text)
        colour = "orange" if left_open or (step.errs and upload) else "blue"
        yield TimelineEvent(step.began_at, StepKind(step.kind).label, step.who, colour, note)


def _checks(batch: Batch) -> Iterator[TimelineEvent]:
    checks = IngestCheck.objects.filter(batch=batch).order_by("-finished_at", "-pk")
    colours = {Verdict.COMPLETE: "green", Verdict.COMPLETE_WITH_ERRORS: "orange"}
    for check in checks[:MOST]:
        verdict = check.said if check.verdict else check.problem or "going on"
        note = f"{pluralize(check.remaining, 'object')} left: {verdict}"
        yield TimelineEvent(
            check.finished_at,
            f"counted for {CheckKind(check.kind).label}",
            check.asked_by,
            colours.get(Verdict(check.verdict), "grey") if check.verdict else "grey",
            note,
        )


def rate_text(rate: float) -> str:
    """Objects a second, in the unit in which it is no fraction of one."""
    units = ((1, "second"), (60, "minute"), (3600, "hour"))
    seconds, unit = next((one for one in units if rate * one[0] >= 1), units[-1])
    each = rate * seconds
    return f"{each:,.0f} objects a {unit}" if each >= 100 else f"{each:.2g} objects a {unit}"


def remaining_chart(points: Sequence[Point], drain: Forecast | None) -> Chart | None:
    """What was left over time, and the expected end; None where there is no time to draw."""
    if len(points) < 2 or points[-1].at <= points[0].at:
        return None
    begin, end = points[0].at, _chart_end(points, drain)
    moments = [begin + (end - begin) * place / (SLOTS - 1) for place in range(SLOTS)]
    left = [_remaining_at(points, at) for at in moments]
    series = [Series("left in the bucket", "blue", left, line=True)]
    if drain and drain.earliest:
        ends = [("expected, at the earliest", drain.earliest), ("at the latest", drain.latest)]
        here = max(place for place, value in enumerate(left) if value is not None)
        for label, empty in ends:
            if empty:
                values = [_forecast_series(points[-1], empty, at) for at in moments]
                values[here] = left[here]  # so that the line goes on where the counts end
                series.append(Series(label, "grey dashed", values, line=True))
    described = "How many objects of the batch were left in its bucket, each time they were counted."
    return Chart("What is left in the bucket over time", moments, series, described, end - begin > timedelta(days=3))


def _chart_end(points: Sequence[Point], drain: Forecast | None) -> datetime:
    last = points[-1].at
    foreseen = drain and (drain.latest or drain.earliest)
    return min(foreseen, last + (last - points[0].at) * FORESEEN) if foreseen else last


def _remaining_at(points: Sequence[Point], at: datetime) -> float | None:
    """Between two counts, the straight line."""
    place = bisect_right(points, at, key=lambda point: point.at)
    if place == len(points):
        # The last moment of the picture is the last count, but for rounding.
        return points[-1].remaining if at - points[-1].at < timedelta(milliseconds=1) else None
    before, after = points[max(0, place - 1)], points[place]
    span = (after.at - before.at) / timedelta(seconds=1)
    share = (at - before.at) / timedelta(seconds=1) / span if span else 0
    return round(before.remaining + (after.remaining - before.remaining) * share)


def _forecast_series(last: Point, empty: datetime, at: datetime) -> float | None:
    if at < last.at or empty <= last.at:
        return None
    return max(0, round(last.remaining * ((empty - at) / (empty - last.at))))
