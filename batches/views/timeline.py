"""The history of a batch, and the chart of its remaining objects."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batches.choices import CheckKind, StepKind, Verdict
from batches.ingest.forecast import Forecast, Point
from batches.models import Batch, BatchStep, IngestCheck
from core.charts import Chart, Series
from core.formatting import pluralize

MAX_EVENTS = 40
"""The latest steps, and the latest checks; `batch show --json` has all."""
CHART_POINTS = 160
MAX_FORECAST_SPAN = 2.0
"""The chart extends to the expected end, at most this many times the time that was counted."""


@dataclass(frozen=True)
class TimelineEvent:
    """One line of the history."""

    at: datetime
    label: str
    who: str
    colour: str = "grey"
    note: str = ""


def timeline(batch: Batch) -> list[TimelineEvent]:
    """Latest first; two queries."""
    events = [TimelineEvent(batch.added_at, "added", batch.added_by or "")]
    if batch.mapped_at:
        errors = f", {pluralize(batch.map_errs, 'error')}" if batch.map_errs else ""
        note = f"{batch.map_oks:,} records{errors}" if batch.map_oks is not None else ""
        events.append(TimelineEvent(batch.mapped_at, "mapped", "", note=note))
    for step in BatchStep.objects.filter(batch=batch).order_by("-began_at", "-pk")[:MAX_EVENTS]:
        upload = step.kind == StepKind.UPLOAD
        numbers = f"{step.oks:,} uploaded, {step.errs or 0:,} not" if upload and step.oks is not None else ""
        unfinished = "not ended" if not step.ended_at else ""
        note = ". ".join(text for text in (unfinished, numbers, step.note) if text)
        colour = "orange" if unfinished or (step.errs and upload) else "blue"
        events.append(TimelineEvent(step.began_at, StepKind(step.kind).label, step.who, colour, note))
    colours = {Verdict.COMPLETE: "green", Verdict.COMPLETE_WITH_ERRORS: "orange"}
    for check in IngestCheck.objects.filter(batch=batch).order_by("-finished_at", "-pk")[:MAX_EVENTS]:
        verdict = check.verdict_label if check.verdict else check.problem or "no verdict yet"
        colour = colours.get(Verdict(check.verdict), "grey") if check.verdict else "grey"
        note = f"{pluralize(check.remaining, 'object')} remaining: {verdict}"
        events.append(TimelineEvent(check.finished_at, CheckKind(check.kind).label, check.asked_by, colour, note))
    return sorted(events, key=lambda event: event.at, reverse=True)


def rate_text(rate: float) -> str:
    """Objects per second, minute or hour, so that it is at least one where possible."""
    units = ((1, "second"), (60, "minute"), (3600, "hour"))
    seconds, unit = next((unit for unit in units if rate * unit[0] >= 1), units[-1])
    number = rate * seconds
    return f"{number:,.0f} objects per {unit}" if number >= 100 else f"{number:.2g} objects per {unit}"


def remaining_chart(points: Sequence[Point], forecast: Forecast | None) -> Chart | None:
    """Remaining objects over time, and the expected end; None if there is no time span to draw."""
    if len(points) < 2 or points[-1].at <= points[0].at:
        return None
    start, last = points[0].at, points[-1]
    end = last.at
    if expected := forecast and (forecast.latest or forecast.earliest):
        end = min(expected, last.at + (last.at - start) * MAX_FORECAST_SPAN)
    moments = [start + (end - start) * index / (CHART_POINTS - 1) for index in range(CHART_POINTS)]
    remaining = [_remaining_at(points, at) for at in moments]
    series = [Series("remaining objects", "blue", remaining, line=True)]
    if forecast and forecast.earliest:
        last_index = max(index for index, value in enumerate(remaining) if value is not None)
        for label, empty in (("expected, at the earliest", forecast.earliest), ("at the latest", forecast.latest)):
            if empty:
                values: list[float | None] = [
                    max(0, round(last.remaining * ((empty - at) / (empty - last.at))))
                    if empty > last.at and at >= last.at
                    else None
                    for at in moments
                ]
                values[last_index] = remaining[last_index]  # so that the line continues where the counts end
                series.append(Series(label, "grey dashed", values, line=True))
    description = "How many objects of the batch remained in its bucket at each count."
    return Chart("Remaining objects over time", moments, series, description, end - start > timedelta(days=3))


def _remaining_at(points: Sequence[Point], at: datetime) -> float | None:
    """Linear between two counts."""
    index = bisect_right(points, at, key=lambda point: point.at)
    if index == len(points):
        # The last moment of the chart is the last count, except for rounding.
        return points[-1].remaining if at - points[-1].at < timedelta(milliseconds=1) else None
    before, after = points[max(0, index - 1)], points[index]
    span = (after.at - before.at) / timedelta(seconds=1)
    share = (at - before.at) / timedelta(seconds=1) / span if span else 0
    return round(before.remaining + (after.remaining - before.remaining) * share)
