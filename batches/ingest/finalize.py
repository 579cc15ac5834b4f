"""What follows a result: the messages of the log on its records, and the report. Safe to do again, whatever died."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from batches.ingest_log.cloudwatch import LogReadError
from batches.ingest_log.messages import TOO_LONG, LogSummary, read_messages
from batches.models import Batch
from batches.reports import ingest_report
from core.exceptions import OperationRefused
from core.formatting import pluralize


@dataclass
class FinalizeResult:
    """What was done after a result."""

    report: Path | None = None
    """The report of the batch, where objects remain."""
    read: LogSummary | None = None
    """What the log said, if it was read now."""
    log_problem: str = ""
    """Why the log could not be read; the result stands all the same."""
    report_problem: str = ""
    """Why the report could not be written; the result stands all the same."""


def finalize(batch: Batch, *, again: bool = False, within: float | None = None) -> FinalizeResult:
    """Reads the log, where there is one (INGEST_LOG_GROUP) and it was not read yet, or `again`; then the report follows.

    Call it after a result was written or changed: neither step raises, and neither touches the outcome of any record.
    The log is read for `within` seconds at the most; one that was too long then is left to who has the time (None).
    """
    done = FinalizeResult()
    left = within is not None and TOO_LONG in (batch.messages_problem or "")
    if settings.INGEST_LOG_GROUP and not left and (again or batch.messages_read_at is None):
        try:
            done.read = read_messages(batch, within=within)
        except LogReadError as error:
            done.log_problem = (
                f"The result of {batch} stands, but the log of the ingest could not be read: {error}."
                f" To try that alone again: manage.py ingstat {batch} --messages"
            )
        except OperationRefused as error:
            done.log_problem = str(error)
    try:
        done.report = ingest_report.sync_file(batch)
    except OSError as error:
        done.report_problem = (
            f"The result is recorded, but {ingest_report.report_path(batch)} could not be written ({error.strerror}):"
            " run ingstat again."
        )
    return done


def finalize_lines(done: FinalizeResult) -> Iterator[str]:
    """Lines that tell what was done."""
    if done.read:
        whose = "its" if done.read.placed == 1 else "their"
        perhaps = f", {done.read.candidates} with one that may be theirs" if done.read.candidates else ""
        yield f"  From the log of the ingest: {pluralize(done.read.placed, 'failed record')} with {whose} message{perhaps}."
    if done.report:
        yield f"  Which records: {done.report}"
