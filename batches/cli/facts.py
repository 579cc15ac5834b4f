"""The facts and the history of batches, as lines and as JSON, for `batch list` and `batch show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Count

from batches.choices import BatchStatus, CheckKind, IngestOutcome, StepKind, UploadOutcome
from batches.corrections.links import corrected_batches
from batches.corrections.status import correction_status
from batches.ingest.forecast import Forecast, current_forecast
from batches.models import Batch, BatchRecord, BatchStep, IngestCheck
from batches.reports.failure_causes import FailureCause
from core.formatting import format_time, pluralize

MAX_RECORDS = 20
"""Records that `batch show` lists; --json has all."""
MAX_CAUSES = 10
"""Causes that `batch show` lists; --json has all."""

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
    "queued_at",
    "queued_by",
    "queue_stop",
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
    """Every column of the batch, and its key prefix, in the order of the steps; None for unknown."""
    facts = {name: getattr(batch, name) for name in _FACT_NAMES}
    return {"id": facts.pop("bid"), **facts, "batch_prefix": batch.key_prefix}


def outcome_facts(batch: Batch) -> dict[str, dict[str, int]]:
    """How many records have each outcome, by step; records without one are not counted."""
    records = BatchRecord.objects.filter(batch=batch).order_by()
    return {
        step: {value: n for value, n in records.values_list(column).annotate(n=Count("pk")) if value}
        for step, column in (("map", "map_outcome"), ("upload", "upload_outcome"), ("ingest", "ingest_outcome"))
    }


def forecast_facts(batch: Batch) -> Forecast | None:
    """The forecast of a batch without a result; None if it was not counted since its upload."""
    return current_forecast(batch) if batch.status == BatchStatus.UPLOADED else None


def failure_reasons(causes: list[FailureCause]) -> Iterator[str]:
    """A line for each of the most frequent causes, with an example."""
    for cause in causes[:MAX_CAUSES]:
        perhaps = ", perhaps" if cause.candidate else ""
        text = cause.example if cause.records == 1 and cause.example else cause.message
        row = ("such as " if cause.records > 1 else "") + f"row {cause.row}"
        example = f"{row}: {cause.identifier}" if cause.identifier else row
        yield f"  {pluralize(cause.records, 'record')} {cause.outcome}{perhaps}: {text} ({example})"
    if len(causes) > MAX_CAUSES:
        yield f"  … and {pluralize(len(causes) - MAX_CAUSES, 'cause')} more: use --json to list all"


def correction_facts(batch: Batch) -> dict[str, Any]:
    """What became of its failed records, and which batches it corrects."""
    status = correction_status(batch)
    return {
        "corrections": {"failed": status.total, "corrected": status.corrected, "open": status.open},
        "corrects": [parent.bid for parent in corrected_batches(batch)],
    }


def correction_lines(batch: Batch) -> Iterator[tuple[str, str]]:
    """The same, a name and a text each; none for a batch without failures."""
    if parents := corrected_batches(batch):
        yield "corrects", ", ".join(parent.bid for parent in parents)
    status = correction_status(batch)
    if status.total:
        yield "failed records", str(status)


def uncertain_records(batch: Batch) -> Iterator[dict[str, Any]]:
    """The records that may have been ingested, in the order of the source."""
    return _record_facts(batch, upload_outcome=UploadOutcome.UNCERTAIN)


def failed_records(batch: Batch) -> Iterator[dict[str, Any]]:
    """The records that failed to ingest, or were never uploaded."""
    return _record_facts(batch, ingest_outcome=IngestOutcome.FAILURE)


def _record_facts(batch: Batch, **conditions: str) -> Iterator[dict[str, Any]]:
    records = BatchRecord.objects.filter(batch=batch, **conditions).order_by("row")
    columns = (
        "row",
        "identifier",
        "action",
        "file",
        "sent_at",
        "upload_message",
        "ingest_message",
        "ingest_detail",
        "ingest_candidate",
        "tries",
    )
    return iter(records.values(*columns).iterator())


def step_facts(batch: Batch) -> Iterator[dict[str, Any]]:
    """Its steps, in order."""
    columns = ("kind", "began_at", "ended_at", "oks", "errs", "touched", "store_url", "note", "who", "host")
    return iter(BatchStep.objects.filter(batch=batch).order_by("began_at", "pk").values(*columns).iterator())


def step_lines(batch: Batch) -> Iterator[str]:
    """The same, a line for each step."""
    for step in step_facts(batch):
        numbers = f" ({step['oks']} uploaded, {step['errs']} not)" if step["oks"] is not None else ""
        end = "" if step["ended_at"] else ", not ended"
        note = f": {step['note']}" if step["note"] else ""
        yield f"{format_time(step['began_at'])}  {StepKind(step['kind']).label} by {step['who']}{numbers}{end}{note}"


def check_facts(batch: Batch) -> Iterator[dict[str, Any]]:
    """Its checks, in order: verdict and counts, or why there is no verdict."""
    columns = ("kind", "started_at", "finished_at", "verdict", "remaining", "ingest_oks", "problem", "asked_by", "host")
    return iter(IngestCheck.objects.filter(batch=batch).order_by("finished_at", "pk").values(*columns).iterator())


def check_lines(batch: Batch) -> Iterator[str]:
    """Its last checks, a line each: after healing both results are listed."""
    last = IngestCheck.objects.filter(batch=batch).order_by("-finished_at", "-pk")[:MAX_RECORDS]
    for check in reversed(last):
        verdict = check.verdict_label if check.verdict or not check.problem else f"no verdict ({check.problem})"
        oks = f", {check.ingest_oks} ingested" if check.ingest_oks is not None else ""
        kind = CheckKind(check.kind).label
        yield f"{format_time(check.finished_at)}  {kind} by {check.asked_by}: {verdict}, {check.remaining} remaining{oks}"
