"""`batch list` and `batch show`: the facts of batches and what was done with them, for lines and for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Count

from batches.choices import BatchStatus, CheckKind, IngestOutcome, StepKind, UploadOutcome
from batches.ingest.forecast import Forecast, current_forecast
from batches.models import Batch, BatchRecord, BatchStep, IngestCheck
from batches.reports.failure_causes import FailureCause
from core.formatting import format_time, pluralize

NAMED = 20
"""So many records are named by `batch show`; --json names them all."""
MOST_CAUSES = 10
"""So many causes are shown by `batch show`; --json has them all."""

_FACT_NAMES = (
    "bid",
    "status",
    "rectype",
    "action",
    "mode",
    "source_csv",
    "folder",
    "record_count",
    "mapped_at",
    "map_oks",
    "map_errs",
    "map_warns",
    "missing_terms",
    "duplicates_checked_at",
    "duplicates",
    "store_url",
    "upload_started",
    "upload_finished",
    "uploaded_at",
    "upload_oks",
    "upload_errs",
    "ingest_start_time",
    "ingest_done_at",
    "ingest_complete_time",
    "ingest_duration",
    "ingest_oks",
    "ingest_errs",
    "cleared_at",
    "messages_read_at",
    "messages_problem",
    "archived_at",
    "added_at",
    "added_by",
    "host",
    "notes",
)


def batch_facts(batch: Batch) -> dict[str, Any]:
    """Every fact that the row has, and the key prefix, in the order of the steps; None for unknown."""
    found = {name: getattr(batch, name) for name in _FACT_NAMES}
    return {"id": found.pop("bid"), **found, "batch_prefix": batch.key_prefix}


def outcome_facts(batch: Batch) -> dict[str, dict[str, int]]:
    """How many records have each outcome, by step; records without one are left out."""
    records = BatchRecord.objects.filter(batch=batch).order_by()
    return {
        step: {value: n for value, n in records.values_list(column).annotate(n=Count("pk")) if value}
        for step, column in (("map", "map_outcome"), ("upload", "upload_outcome"), ("ingest", "ingest_outcome"))
    }


def forecast_facts(batch: Batch) -> Forecast | None:
    """How it drains, by its counts, while it has no result; None when it was not counted since its upload."""
    return current_forecast(batch) if batch.status == BatchStatus.UPLOADED else None


def failure_reasons(causes: list[FailureCause]) -> Iterator[str]:
    """A line for each of the most frequent causes, with an example."""
    for one in causes[:MOST_CAUSES]:
        perhaps = ", perhaps" if one.candidate else ""
        text = one.example if one.records == 1 and one.example else one.message
        such = ("such as " if one.records > 1 else "") + f"row {one.row}"
        who = f"{such}: {one.identifier}" if one.identifier else such
        yield f"  {pluralize(one.records, 'record')} {one.outcome}{perhaps}: {text} ({who})"
    if len(causes) > MOST_CAUSES:
        yield f"  … and {pluralize(len(causes) - MOST_CAUSES, 'cause')} more: --json has them all"


def uncertain_records(batch: Batch) -> Iterator[dict[str, Any]]:
    """The records of which nobody knows whether they were ingested, in the order of the source."""
    return _named(batch, upload_outcome=UploadOutcome.UNCERTAIN)


def failed_records(batch: Batch) -> Iterator[dict[str, Any]]:
    """The records that the ingest left in the bucket, or that never came there."""
    return _named(batch, ingest_outcome=IngestOutcome.FAILURE)


def _named(batch: Batch, **chosen: str) -> Iterator[dict[str, Any]]:
    records = BatchRecord.objects.filter(batch=batch, **chosen).order_by("row")
    wanted = (
        "row",
        "identifier",
        "action",
        "file",
        "sent_at",
        "upload_message",
        "ingest_message",
        "ingest_candidate",
        "tries",
    )
    return iter(records.values(*wanted).iterator())


def step_facts(batch: Batch) -> Iterator[dict[str, Any]]:
    """What was done with it, in order."""
    wanted = ("kind", "began_at", "ended_at", "oks", "errs", "touched", "store_url", "note", "who", "host")
    return iter(BatchStep.objects.filter(batch=batch).order_by("began_at", "pk").values(*wanted).iterator())


def step_lines(batch: Batch) -> Iterator[str]:
    """The same, a line a step."""
    for one in step_facts(batch):
        numbers = f" ({one['oks']} uploaded, {one['errs']} not)" if one["oks"] is not None else ""
        end = "" if one["ended_at"] else ", not ended"
        note = f": {one['note']}" if one["note"] else ""
        yield f"{format_time(one['began_at'])}  {StepKind(one['kind']).label} by {one['who']}{numbers}{end}{note}"


def check_facts(batch: Batch) -> Iterator[dict[str, Any]]:
    """Every check of its ingest, in order: what it found, or why it found nothing."""
    wanted = ("kind", "started_at", "finished_at", "verdict", "remaining", "ingest_oks", "problem", "asked_by", "host")
    return iter(IngestCheck.objects.filter(batch=batch).order_by("finished_at", "pk").values(*wanted).iterator())


def check_lines(batch: Batch) -> Iterator[str]:
    """Its last checks, a line each: after a healing both results stand there."""
    last = IngestCheck.objects.filter(batch=batch).order_by("-finished_at", "-pk")[:NAMED]
    for one in reversed(last):
        found = one.said if one.verdict or not one.problem else f"no verdict ({one.problem})"
        oks = f", {one.ingest_oks} ingested" if one.ingest_oks is not None else ""
        what = CheckKind(one.kind).label
        yield f"{format_time(one.finished_at)}  {what} by {one.asked_by}: {found}, {one.remaining} left{oks}"
