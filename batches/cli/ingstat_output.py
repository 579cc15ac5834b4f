"""What `ingstat` says of a count and of a result: lines, and facts for --json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batches.choices import Verdict
from batches.ingest.check import CheckResult
from batches.ingest.count import ObjectCount
from batches.ingest.rule import Change
from batches.models import Batch
from core.commands import FAILED
from core.formatting import format_duration, format_time, pluralize

EXIT_STATUS = {Verdict.COMPLETE: 0, Verdict.COMPLETE_WITH_ERRORS: 10, Verdict.IN_PROGRESS: 11}
"""The exit status of a verdict."""


EXIT_STATUS_LABELS: dict[int, str] = {
    FAILED: "failed",
    11: "still in progress",
    10: "complete, but has errors",
    0: "complete",
}
"""What an exit status means in a summary, the worst first."""


def count_lines(bid: str, seen: ObjectCount, change: Change) -> Iterator[str]:
    """What one count saw."""
    yield f"{format_time(seen.counted_at)}  {bid}: {pluralize(seen.remaining, 'object')} left ({change.value})"
    if seen.foreign:
        yield f"  not counted: {pluralize(seen.foreign, 'object')} of other batches with the same prefix"
    if seen.invalid:
        names = ", ".join(map(repr, seen.examples))
        yield f"  not counted: {pluralize(seen.invalid, 'object')} whose name is no key, such as {names}"


def result_lines(result: CheckResult) -> Iterator[str]:
    """What a result means."""
    batch, left = result.batch, result.remaining
    if result.verdict == Verdict.IN_PROGRESS:
        yield f"{batch}: ingest is still in progress, {pluralize(left, 'object')} remaining."
        return
    if result.stored:
        yield f"{batch} was found complete at {format_time(batch.ingest_done_at)}; nothing was counted now."
        yield f"  To check it again, take that result back: manage.py batch rollback {batch} ingest"
    ended = "complete, but has errors" if left else "complete"
    yield (
        f"{batch}: ingest is {ended}: {batch.ingest_oks} ingested, {left} left; it ended at"
        f" {format_time(batch.ingest_complete_time)}{_ingest_time_line(batch)}."
    )
    if result.unmatched:
        yield f"  {pluralize(result.unmatched, 'object')} of those left belong to none of its records."
    if batch.upload_errs:
        yield f"  {pluralize(batch.upload_errs, 'record')} had not been uploaded, or not certainly: manage.py batch show {batch}"


def _ingest_time_line(batch: Batch) -> str:
    return f" and took {format_duration(batch.ingest_duration)}" if batch.ingest_duration is not None else ""


def summary(facts: list[dict[str, Any]]) -> Iterator[str]:
    """Which of several batches ended how, the worst first."""
    yield f"{len(facts)} batches:"
    for status, what in EXIT_STATUS_LABELS.items():
        if bids := [str(fact["id"]) for fact in facts if fact["exit_status"] == status]:
            yield f"  {what}: {' '.join(bids)}"


def result_json(result: CheckResult) -> dict[str, Any]:
    """The same for --json."""
    batch = result.batch
    finished = result.verdict != Verdict.IN_PROGRESS
    done = {
        "ingest_done": batch.ingest_done_at and batch.ingest_done_at.isoformat(),
        "ingest_complete_time": batch.ingest_complete_time and batch.ingest_complete_time.isoformat(),
        "ingest_duration": format_duration(batch.ingest_duration) or None,
        "ingest_oks": batch.ingest_oks,
        "ingest_errs": batch.ingest_errs,
        "unmatched": result.unmatched,
    }
    counts = [
        {"at": one.counted_at.isoformat(), "remaining": one.remaining, "foreign": one.foreign, "invalid": one.invalid}
        for one in result.counts
    ]
    return {
        "id": batch.bid,
        "verdict": result.verdict.value,
        "stored": result.stored,
        "remaining": result.remaining,
        "counts": counts,
        "exit_status": EXIT_STATUS[result.verdict],
        **(done if finished else {}),
    }
