"""After a result: puts the messages of the ingest log on the records and writes the report. Safe to repeat after a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from batches.ingest.course import update_courses
from batches.ingest_log.cloudwatch import TOO_LONG, LogReadError
from batches.ingest_log.messages import LogSummary, read_messages
from batches.models import Batch
from batches.reports import ingest_report
from core.exceptions import OperationRefused
from core.formatting import pluralize


@dataclass
class FinalizeResult:
    """What was done after a result."""

    report: Path | None = None
    """The report of the batch, if objects remain."""
    log_summary: LogSummary | None = None
    """What the log contained, if it was read now."""
    log_problem: str = ""
    """Why the log could not be read; the result is not affected."""
    log_note: str = ""
    """Why failures have no message although the log was read."""
    report_problem: str = ""
    """Why the report could not be written; the result is not affected."""


def finalize(
    batch: Batch,
    *,
    read_again: bool = False,
    max_seconds: float | None = None,
    on_page: Callable[[], None] = lambda: None,
) -> FinalizeResult:
    """Reads the log, if there is one (INGEST_LOG_GROUP) and it was not read yet or `read_again`; then updates the report.

    Call it after a result was written or changed; it raises nothing and changes no outcome. The log is read for at most
    `max_seconds`; a log that takes longer is left to a call without a limit (None). `on_page` is called after each page of the
    log, and may raise.
    """
    result = FinalizeResult()
    too_long = max_seconds is not None and TOO_LONG in (batch.messages_problem or "")
    if settings.INGEST_LOG_GROUP and not too_long and (read_again or batch.messages_read_at is None):
        try:
            result.log_summary = read_messages(batch, max_seconds=max_seconds, on_page=on_page)
            result.log_note = result.log_summary.problem
        except LogReadError as error:
            result.log_problem = (
                f"The result of {batch} is stored, but the ingest log could not be read: {error}."
                f" To read it again: manage.py ingstat {batch} --messages"
            )
        except OperationRefused as error:
            result.log_problem = str(error)
    try:
        result.report = ingest_report.sync_file(batch)
    except OSError as error:
        result.report_problem = (
            f"The result is stored, but {ingest_report.report_path(batch)} could not be written ({error.strerror})."
            " Run ingstat again."
        )
    update_courses(batch, log_was_read=result.log_summary is not None)
    return result


def finalize_lines(result: FinalizeResult) -> Iterator[str]:
    """Lines for a terminal."""
    if summary := result.log_summary:
        candidates = f", {summary.candidates} with a possible one" if summary.candidates else ""
        yield f"  From the ingest log: {pluralize(summary.matched, 'failed record')} with a message{candidates}."
    if result.log_note:
        yield f"  {result.log_note}."
    if result.report:
        yield f"  Report: {result.report}"
