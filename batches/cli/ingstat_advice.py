"""`ingstat --advise`: how long to wait before a result is believed, from the counts that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from batches.ingest.advice import FALLBACK, MIN_COURSES, Advice, Replay, WouldHaveSaid, advise, quiet_setting, replay
from batches.ingest.course import sum_up_earlier
from batches.ingest.rule import CheckOptions
from batches.ingest.scheduled import scheduled_options
from batches.models import Batch
from core.formatting import format_duration, format_time, pluralize, text_table


def advice_lines(options: Sequence[CheckOptions]) -> Iterator[str]:
    """The options compared over all ingests, and the recommended ones, also for each record type that has enough."""
    for one in current_advice(options):
        if not one.rectype:
            yield f"{pluralize(one.ingests, 'ingest')} whose end is known. With these options, a result would have been"
            rows = [[str(each.options), each.right, each.wrong, each.unclear, _after(each)] for each in one.replays]
            yield from text_table(["options", "right", "wrong", "unclear", "with errors after"], rows)
        yield from recommendation_lines(one)


def current_advice(options: Sequence[CheckOptions]) -> list[Advice]:
    """From all kept counts, including those that nobody has summed up yet."""
    sum_up_earlier()
    return advise(options)


def recommendation_lines(one: Advice) -> Iterator[str]:
    """The recommended options as a line to copy, and as a setting; or why there are none."""
    name = f"{one.rectype}: " if one.rectype else ""
    best = one.recommended
    if best:
        yield (
            f"{name}recommended: ingstat BID {best.options} (right in {best.right} of {one.ingests}: with 95 % confidence"
            f" fewer than 1 of {1 / best.may_be_wrong:.0f} are wrong; with errors after {_after(best)})"
        )
        if not one.rectype:
            now = scheduled_options().quiet_minutes
            yield f"  For the scheduled check: INGEST_QUIET_MINUTES={quiet_setting(best.options):g} (now {now:g})"
    elif one.ingests < MIN_COURSES:
        yield (
            f"{name}that is too few for advice: {MIN_COURSES} are needed. Until then, by simulation (docs/batches.md):"
            f" ingstat BID {FALLBACK}"
        )
    else:
        yield f"{name}none would have been right each time; the longest pause was {format_duration(one.longest_pause)}."


def replay_lines(batch: Batch, options: Sequence[CheckOptions]) -> Iterator[str]:
    """What the options would have said about one ingest, and when."""
    found = replay(batch, options)
    if not found:
        yield f"{batch} was never counted."
        return
    yield f"What would have been said about {batch}:"
    yield from text_table(["options", "at", "remaining", ""], [_would_have_said(one) for one in found])


def _would_have_said(one: WouldHaveSaid) -> list[object]:
    if one.at is None:
        return [str(one.options), "", one.remaining, "no result yet"]
    verdict = "complete, but has errors" if one.remaining else "complete"
    notes = [
        verdict,
        *(["wrong: it changed after that"] if one.wrong else []),
        *(["perhaps earlier"] if one.unclear else []),
    ]
    return [str(one.options), format_time(one.at), one.remaining, ", ".join(notes)]


def advice_json(options: Sequence[CheckOptions]) -> dict[str, Any]:
    """For --json."""
    return {
        "scheduled_quiet_minutes": scheduled_options().quiet_minutes,
        "advice": [
            {
                "rectype": one.rectype or None,
                "ingests": one.ingests,
                "longest_pause_seconds": one.longest_pause.total_seconds(),
                "options": [_replay_json(each) for each in one.replays],
                "recommended": _replay_json(one.recommended) if one.recommended else None,
            }
            for one in current_advice(options)
        ],
    }


def replay_json(batch: Batch, options: Sequence[CheckOptions]) -> dict[str, Any]:
    """For --json."""

    def moment(at: datetime | None) -> str | None:
        return at.isoformat() if at else None

    return {
        "id": batch.bid,
        "options": [
            _options_json(one.options)
            | {"at": moment(one.at), "remaining": one.remaining, "wrong": one.wrong, "unclear": one.unclear}
            for one in replay(batch, options)
        ],
    }


def _after(one: Replay) -> str:
    return format_duration(one.later)


def _options_json(options: CheckOptions) -> dict[str, Any]:
    return {"sleep": options.sleep, "checks": options.checks, "rechecks": options.rechecks}


def _replay_json(one: Replay) -> dict[str, Any]:
    return _options_json(one.options) | {"right": one.right, "wrong": one.wrong, "unclear": one.unclear}
