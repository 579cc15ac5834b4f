"""The output of `ingstat`: lines, and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batches.choices import Verdict
from batches.ingest.check import CheckResult
from batches.ingest.count import ObjectCount
from batches.ingest.rule import Change
from core.commands import FAILED
from core.formatting import format_duration, format_time, pluralize

EXIT_STATUS = {Verdict.COMPLETE: 0, Verdict.COMPLETE_WITH_ERRORS: 10, Verdict.IN_PROGRESS: 11}
EXIT_STATUS_LABELS: dict[int, str] = {
    FAILED: "failed",
    11: "still in progress",
    10: "complete, but has errors",
    0: "complete",
}
"""Labels of exit statuses in a summary, the worst first."""
UNKNOWN_TIME = "an unknown time"


def count_lines(bid: str, counted: ObjectCount, change: Change) -> Iterator[str]:
    """One count."""
    remaining = pluralize(counted.remaining, "object")
    yield f"{format_time(counted.counted_at)}  {bid}: {remaining} remaining ({change.value})"
    if counted.foreign:
        yield f"  not counted: {pluralize(counted.foreign, 'object')} of other batches with the same prefix"
    if counted.invalid:
        names = ", ".join(map(repr, counted.examples))
        yield f"  not counted: {pluralize(counted.invalid, 'object')} whose name is not a key, such as {names}"


def result_lines(result: CheckResult) -> Iterator[str]:
    """A verdict, with the result of the batch."""
    batch, remaining = result.batch, result.remaining
    if result.verdict == Verdict.IN_PROGRESS:
        yield f"{batch}: ingest is still in progress, {pluralize(remaining, 'object')} remaining."
        return
    if result.stored:
        yield f"{batch} was found complete at {format_time(batch.ingest_done_at) or UNKNOWN_TIME}; nothing was counted now."
        yield f"  To check it again, undo that result: manage.py batch rollback {batch} ingest"
    state = "complete, but has errors" if remaining else "complete"
    took = f" after {format_duration(batch.ingest_duration)}" if batch.ingest_duration is not None else ""
    ingested = "an unknown number" if batch.ingest_oks is None else batch.ingest_oks
    yield (
        f"{batch}: ingest is {state}: {ingested} ingested, {remaining} remaining; ended at"
        f" {format_time(batch.ingest_complete_time) or UNKNOWN_TIME}{took}."
    )
    if result.unmatched:
        yield f"  {pluralize(result.unmatched, 'remaining object')} without a record of the batch."
    if batch.upload_errs:
        yield f"  {pluralize(batch.upload_errs, 'record')} not uploaded, or uncertain: manage.py batch show {batch}"


def summary_lines(results: list[dict[str, Any]]) -> Iterator[str]:
    """Several batches by exit status, the worst first."""
    yield f"{pluralize(len(results), 'batch', 'batches')}:"
    for status, label in EXIT_STATUS_LABELS.items():
        if bids := [str(result["id"]) for result in results if result["exit_status"] == status]:
            yield f"  {label}: {' '.join(bids)}"


def result_json(result: CheckResult) -> dict[str, Any]:
    """A verdict, for --json."""
    batch = result.batch
    document = {
        "id": batch.bid,
        "verdict": result.verdict.value,
        "stored": result.stored,
        "remaining": result.remaining,
        "counts": [
            {
                "at": counted.counted_at.isoformat(),
                "remaining": counted.remaining,
                "foreign": counted.foreign,
                "invalid": counted.invalid,
            }
            for counted in result.counts
        ],
        "exit_status": EXIT_STATUS[result.verdict],
    }
    if result.verdict == Verdict.IN_PROGRESS:
        return document
    return document | {
        "ingest_done": batch.ingest_done_at and batch.ingest_done_at.isoformat(),
        "ingest_complete_time": batch.ingest_complete_time and batch.ingest_complete_time.isoformat(),
        "ingest_duration": format_duration(batch.ingest_duration) or None,
        "ingest_oks": batch.ingest_oks,
        "ingest_errs": batch.ingest_errs,
        "unmatched": result.unmatched,
    }
