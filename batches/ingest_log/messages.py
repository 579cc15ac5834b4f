"""Why records failed: puts the messages of the ingest log on the records of a batch that has its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from itertools import islice

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from batches.choices import BatchStatus
from batches.ingest_log import cloudwatch
from batches.ingest_log.cloudwatch import LogReadError
from batches.ingest_log.events import EventStore
from batches.ingest_log.lambda_log import LambdaLogParser
from batches.ingest_log.often_tried import mark_often_tried
from batches.ingest_log.tries import ObjectTries, TryStore
from batches.keys import KeyMatcher
from batches.models import Batch, BatchRecord, IngestCheck
from batches.models.batch import LOG_WAS_READ
from batches.models.record import MAX_MESSAGE_LENGTH
from batches.querysets import OBJECT_REMAINS
from core.exceptions import OperationRefused
from core.formatting import pluralize

GROUP_SIZE = 500
EVENTS_AT_A_TIME = 10_000
MARGIN_BEFORE = timedelta(minutes=1)
"""The clocks of AWS and of the uploading host may differ by this much."""
UNKNOWN_DURATION = timedelta(days=1)
"""How long an ingest may have taken if its start or its end is not known."""
MARGIN_AFTER = timedelta(minutes=10)
"""Messages of the last count's objects may come this much later: a try takes up to some minutes."""


@dataclass
class LogSummary:
    """What the log contained."""

    named: int = 0
    """Records that it names."""
    matched: int = 0
    """Failed records with a message of their own."""
    candidates: int = 0
    """Failed records with a message that may be theirs."""
    unmatched: int = 0
    """Exceptions of an unknown record, of this batch or another one."""
    missing: int = 0
    """Failed records without any message, from this reading or an earlier one."""
    events: int = 0
    """Events that were read."""
    not_understood: int = 0
    """Events in a spelling that is not known."""
    example: str = ""
    """One of them."""

    @property
    def problem(self) -> str:
        """Why failures have no message although the log was read to its end; empty: nothing to say."""
        records = pluralize(self.missing, "failed record has", "failed records have")
        if not self.missing or (self.named and not self.not_understood):
            return ""
        if not self.events:
            return f"{LOG_WAS_READ} {records} no message: it has no events of the time of the batch"
        unknown = ""
        if self.not_understood:
            unknown = (
                f"{self.not_understood:,} of {pluralize(self.events, 'event')} not understood, such as {self.example!r}"
            )
        if self.named:
            return f"{LOG_WAS_READ} {records} no message: {unknown}"
        seen = unknown or f"{pluralize(self.events, 'event')} read"
        return f"{LOG_WAS_READ} {records} no message: {seen}; none names an object of the batch"


def read_messages(
    batch: Batch, *, max_seconds: float | None = None, on_page: Callable[[], None] = lambda: None
) -> LogSummary:
    """Reads the log of the batch's time and puts messages and tries on its records, and the end of the ingest on the batch.

    All of it is read before anything is written, and all is written in one transaction. What an earlier reading found
    stays if the log no longer has it. Raises OperationRefused, and LogReadError, which is also stored on the batch; a log that
    takes longer than `max_seconds` raises it, too. `on_page` is called after each page, and may raise.
    """
    ensure_readable(batch)
    matcher = KeyMatcher(batch.bid)
    parser = LambdaLogParser(batch.bid, lambda key: matcher.classify(key) == "own")
    start, end = _time_of_ingest(batch)
    with EventStore() as events, TryStore() as tries:
        try:
            for _ in cloudwatch.read_events(events, settings.INGEST_LOG_GROUP, start, end, max_seconds):
                on_page()
        except LogReadError as error:
            Batch.objects.filter(pk=batch.pk).update(messages_problem=str(error)[:MAX_MESSAGE_LENGTH])
            raise
        in_order = events.in_order()
        while some := list(islice(in_order, EVENTS_AT_A_TIME)):
            for event in some:
                parser.feed(event.stream, event.timestamp, event.message)
            tries.add(parser.pop_finished())
            on_page()
        parser.end()
        tries.add(parser.pop_finished())
        return _write(batch, parser, tries)


def _time_of_ingest(batch: Batch) -> tuple[datetime, datetime]:
    """Which part of the log to read. Of an imported batch some times may be unknown, and are bounded by those that are known."""
    last_check = IngestCheck.objects.filter(batch=batch).aggregate(last=Max("finished_at"))["last"]
    ends = [time for time in (last_check, batch.ingest_done_at, batch.ingest_complete_time) if time]
    # A file may say only the day.
    ends = [time + UNKNOWN_DURATION if timezone.localtime(time).time() == time_of_day.min else time for time in ends]
    start, now = batch.ingest_start_time or batch.uploaded_at, timezone.now()
    end = min(max(ends) if ends else (start or now) + UNKNOWN_DURATION, now)
    return min(start or end - UNKNOWN_DURATION, end) - MARGIN_BEFORE, end + MARGIN_AFTER


def ensure_readable(batch: Batch) -> None:
    """Raises OperationRefused unless there is a log to read and a result for its messages."""
    if not settings.INGEST_LOG_GROUP:
        raise OperationRefused(
            "INGEST_LOG_GROUP is not set, so there is no log to read. Set it to the log group of the ingest."
        )
    if batch.status != BatchStatus.INGESTED:
        raise OperationRefused(f"{batch} has no result yet: run `manage.py ingstat {batch}` first.")


def _write(batch: Batch, parser: LambdaLogParser, tries: TryStore) -> LogSummary:
    summary = LogSummary(
        unmatched=parser.unmatched,
        events=parser.events,
        not_understood=parser.not_understood,
        example=parser.example,
    )
    complete = datetime.fromtimestamp(parser.last_named / 1000, UTC) if parser.last_named is not None else None
    if complete and batch.ingest_start_time:
        complete = max(complete, batch.ingest_start_time)
    with transaction.atomic():
        # First, because it locks the batch against a rollback, a healing or another reading.
        if not batch.record_messages(read=timezone.now(), complete=complete):
            raise OperationRefused(
                f"The result of {batch} was undone while its log was being read: nothing was written."
            )
        for group in tries.groups(GROUP_SIZE):
            digests_by_tries: dict[int, list[str]] = {}
            for item in group:
                digests_by_tries.setdefault(item.tries, []).append(item.digest)
            for number, digests in digests_by_tries.items():
                records = BatchRecord.objects.filter(batch=batch, key_digest__in=digests)
                summary.named += records.count()
                # A log forgets its oldest events, so the number never decreases.
                records.filter(Q(tries=None) | Q(tries__lt=number)).update(tries=number)
            _write_messages(batch, [item for item in group if item.message or item.candidate], summary)
        mark_often_tried(batch, timezone.now())
        failed = BatchRecord.objects.filter(OBJECT_REMAINS, batch=batch)
        summary.missing = failed.filter(ingest_message=None, ingest_candidate=None).count()
        if summary.problem:
            Batch.objects.filter(pk=batch.pk).update(messages_problem=summary.problem[:MAX_MESSAGE_LENGTH])
    return summary


def _write_messages(batch: Batch, group: list[ObjectTries], summary: LogSummary) -> None:
    tries = {item.digest: item for item in group}
    failed = list(
        BatchRecord.objects.filter(OBJECT_REMAINS, batch=batch, key_digest__in=tries).only(
            "key_digest", "ingest_message", "ingest_detail", "ingest_candidate"
        )
    )
    for record in failed:
        item = tries[record.key_digest]
        record.ingest_message, record.ingest_detail, record.ingest_candidate = item.message, item.detail, item.candidate
        summary.matched += item.message is not None
        summary.candidates += item.message is None
    columns = ["ingest_message", "ingest_detail", "ingest_candidate"]
    BatchRecord.objects.bulk_update(failed, columns, batch_size=GROUP_SIZE)
