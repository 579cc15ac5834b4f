"""Why records failed: puts the messages of the ingest's log on the records of a batch that has its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from batches.choices import BatchStatus, IngestOutcome, UploadOutcome
from batches.ingest_log import cloudwatch
from batches.ingest_log.cloudwatch import LogEvent, LogReadError
from batches.ingest_log.lambda_log import LambdaLogParser
from batches.ingest_log.tries import ObjectTries, TryStore
from batches.keys import KeyMatcher
from batches.models import Batch, BatchRecord, IngestCheck
from batches.models.record import LONGEST_MESSAGE
from core.exceptions import OperationRefused
from core.processes import monotonic

GROUP = 500
BEFORE = timedelta(minutes=1)
"""The clocks of AWS and of who uploads may differ by so much."""
AFTER = timedelta(minutes=10)
"""What is said of the last count's objects may come so much later: a try takes up to some minutes."""
TOO_LONG = "is longer than a background job may read"
"""In the problem of a batch whose log only a command reads: each job would begin anew, and end as far."""


@dataclass
class LogSummary:
    """What the log said."""

    named: int = 0
    """Records that it names."""
    placed: int = 0
    """Failed records with a message that is theirs."""
    candidates: int = 0
    """Failed records with a message that may be theirs."""
    unplaced: int = 0
    """Exceptions that are nobody's for certain, of this batch or another one."""


def read_messages(batch: Batch, *, within: float | None = None) -> LogSummary:
    """Reads the log of the batch's time and puts messages and tries on its records, and the end of the ingest on the batch.

    All of it is read before anything is written, and all is written in one transaction. What an earlier reading found
    stays where the log has nothing (any more). Raises LogFailed, which the batch's row keeps too, and OperationRefused. It is
    LogFailed as well when reading takes longer than `within` seconds.
    """
    ensure_readable(batch)
    reader = LambdaLogParser(batch.bid, _is_own(batch.bid))
    with TryStore() as spool:
        try:
            for page in _pages(batch, within):
                for event in page:
                    reader.read(*event)
                spool.add(reader.take())
        except LogReadError as error:
            Batch.objects.filter(pk=batch.pk).update(messages_problem=str(error)[:LONGEST_MESSAGE])
            raise
        reader.end()
        spool.add(reader.take())
        return _write(batch, reader, spool)


def ensure_readable(batch: Batch) -> None:
    """Raises OperationRefused unless there is a log to read, and a result to put its messages on."""
    if not settings.INGEST_LOG_GROUP:
        raise OperationRefused(
            "INGEST_LOG_GROUP is not set, so there is no log to read: set it to the log group of the ingest."
        )
    if batch.status != BatchStatus.INGESTED or batch.ingest_done_at is None:
        raise OperationRefused(f"{batch} has no result yet: run `manage.py ingstat {batch}` first.")


def _pages(batch: Batch, within: float | None) -> Iterator[list[LogEvent]]:
    """The log of the batch's time. Raises LogFailed, also when more than `within` seconds have passed after a page."""
    began = monotonic()
    for page in cloudwatch.log_pages(settings.INGEST_LOG_GROUP, *_window(batch)):
        yield page
        if within is not None and monotonic() - began > within:
            raise LogReadError(f"log group {settings.INGEST_LOG_GROUP} {TOO_LONG} ({within:g} s)")


def _window(batch: Batch) -> tuple[datetime, datetime]:
    done = batch.ingest_done_at or timezone.now()
    start = batch.ingest_start_time or batch.uploaded_at or done
    last = IngestCheck.objects.filter(batch=batch).aggregate(last=Max("finished_at"))["last"] or done
    return start - BEFORE, max(last, done) + AFTER


def _is_own(bid: str) -> Callable[[str], bool]:
    membership = KeyMatcher(bid)
    return lambda key: membership.classify(key) == "own"


def _write(batch: Batch, reader: LambdaLogParser, spool: TryStore) -> LogSummary:
    found = LogSummary(unplaced=reader.unplaced)
    complete = datetime.fromtimestamp(reader.last_named / 1000, UTC) if reader.last_named is not None else None
    if complete and batch.ingest_start_time:
        complete = max(complete, batch.ingest_start_time)
    with transaction.atomic():
        # First, because it locks the batch against a rollback, a healing or another reading.
        if not batch.record_messages(read=timezone.now(), complete=complete):
            raise OperationRefused(f"The result of {batch} was taken back while its log was read: nothing was written.")
        for some in spool.groups(GROUP):
            _put_tries(batch, some, found)
            _put_messages(batch, [one for one in some if one.message or one.candidate], found)
    return found


def _put_tries(batch: Batch, some: list[ObjectTries], found: LogSummary) -> None:
    by_number: dict[int, list[str]] = {}
    for one in some:
        by_number.setdefault(one.tries, []).append(one.digest)
    for number, digests in by_number.items():
        records = BatchRecord.objects.filter(batch=batch, key_digest__in=digests)
        found.named += records.count()
        # A log forgets its oldest events: it never takes a try back that was seen.
        records.filter(Q(tries=None) | Q(tries__lt=number)).update(tries=number)


def _put_messages(batch: Batch, some: list[ObjectTries], found: LogSummary) -> None:
    said = {one.digest: one for one in some}
    failed = list(
        BatchRecord.objects.filter(
            batch=batch,
            key_digest__in=said,
            ingest_outcome=IngestOutcome.FAILURE,
            upload_outcome=UploadOutcome.SUCCESS,
        ).only("key_digest", "ingest_message", "ingest_candidate")
    )
    for record in failed:
        one = said[record.key_digest]
        record.ingest_message, record.ingest_candidate = one.message, one.candidate
        found.placed += one.message is not None
        found.candidates += one.message is None
    BatchRecord.objects.bulk_update(failed, ["ingest_message", "ingest_candidate"], batch_size=GROUP)
