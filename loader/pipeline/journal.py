"""Writes each attempt before it is made, and its outcome afterwards (design.md, promise 4).

The start of an insert is committed before it is sent, together with the end of an earlier one: while the previous one is in
flight if that is short, so that the server does not wait for a commit. The next loader recovers what a process that died left
open (`pipeline/recovery.py`), and knows from the marker of the lease what was not sent (`coordination/sent_marker.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Any

from django.db import connections
from django.db.models import F, QuerySet

from core.processes import monotonic
from loader.choices import RESULT_REASONS, AttemptOutcome, ObjectState
from loader.coordination.lease import LeaseLost
from loader.coordination.write_lock import locked_transaction, write_lock
from loader.ledger.back_off import FIRST_BACK_OFF_SECONDS, back_off
from loader.models import BatchLoad, BucketObject, LoadAttempt
from loader.pipeline.context import LoadContext
from loader.pipeline.prefetch import Fetched, FetchOutcome
from loader.pipeline.stored import StoredResult
from loader.pipeline.unexpected import ENDS_PASS, unexpected

FRESH_SECONDS = 0.5
"""Seconds for which a start that was committed ahead counts: the deadline after an unclear end begins with it."""


# The three statements of every sample that succeeds. Django takes half a millisecond to build one, as long as everything
# else that a sample of 30 kB costs; these are plain SQL for every database (bench/load.py).
START = """
    UPDATE fn4loadattempt SET insert_start_time = %s, lock_waits = %s
    WHERE gp_int_id = %s AND outcome = 'open'
    AND EXISTS (SELECT 1 FROM loader_server WHERE id = %s AND fence = %s AND lease_token = %s)"""
INSERTED = """
    UPDATE fn4loadattempt SET outcome = 'inserted', completed = 1, insert_status_code = 200, insert_start_time = %s,
    insert_end_time = %s WHERE gp_int_id = %s AND outcome = 'open'"""
LOADED = """
    UPDATE loader_bucketobject SET state = 'loaded', result = 'inserted', reason = '', guid = %s, seq_digest = %s, done_at = %s
    WHERE id = %s"""


@dataclass(slots=True)
class OpenAttempt:
    """An attempt whose row is open, with its file."""

    attempt: LoadAttempt
    fetched: Fetched
    started: float = -inf
    """When its start was last committed, by this machine's monotonic clock."""

    @property
    def is_started(self) -> bool:
        """Whether it may be sent."""
        return monotonic() - self.started < FRESH_SECONDS


@dataclass(slots=True)
class AttemptEnd:
    """How an attempt ended, and the new state of its object: columns of both rows."""

    attempt: dict[str, Any]
    item: dict[str, Any]


def loaded(stored: StoredResult, attempt: LoadAttempt, at: datetime) -> AttemptEnd:
    """The sample is in the server."""
    reason = stored.reason or RESULT_REASONS.get(stored.result, "")
    columns: dict[str, Any] = {"outcome": stored.outcome, "completed": 1}
    if stored.outcome is AttemptOutcome.UNPROVEN:
        columns["message"] = "; ".join(filter(None, (attempt.message, reason)))
    return AttemptEnd(
        columns,
        {
            "state": ObjectState.LOADED,
            "result": stored.result,
            "guid": attempt.fn4id or "",
            "seq_digest": attempt.seq_digest or "",
            "reason": reason,
            "done_at": at,
        },
    )


def rejected(reason: str, at: datetime) -> AttemptEnd:
    """The file can never be loaded as it is."""
    return AttemptEnd(
        {"outcome": AttemptOutcome.REJECTED, "completed": 1, "message": reason},
        {"state": ObjectState.REJECTED, "reason": reason, "done_at": at},
    )


def failed(reason: str, at: datetime, *, tries: int, spend: bool) -> AttemptEnd:
    """Will retry, after longer and longer delays if a try of this sample failed (`spend`)."""
    item: dict[str, Any] = {"state": ObjectState.WAITING, "reason": reason}
    if spend:
        item |= {"tries": F("tries") + 1, "not_before": at + timedelta(seconds=back_off(tries))}
    return AttemptEnd({"outcome": AttemptOutcome.FAILED, "completed": 0, "message": reason}, item)


def not_sent() -> AttemptEnd:
    """Opened ahead and never sent: its object waits as before."""
    return AttemptEnd(
        {"outcome": AttemptOutcome.NOT_SENT, "completed": 0, "insert_start_time": None}, {"state": ObjectState.WAITING}
    )


@dataclass
class Journal:
    """The rows of one batch as it is loaded."""

    context: LoadContext
    batch: BatchLoad
    place: int = 0
    _ended: list[tuple[LoadAttempt, AttemptEnd]] = field(default_factory=list)
    _inserted: list[tuple[LoadAttempt, datetime]] = field(default_factory=list)

    def open(self, batch: list[Fetched]) -> list[OpenAttempt]:
        """Writes a row for each; those that can't be sent are closed at once. Returns the others.

        A file of which the database does not take what is known is postponed, with as little as says so.
        """
        place = self.place
        try:
            return self._open(batch)
        except ENDS_PASS:
            raise
        except Exception as error:
            self.place = place
            if len(batch) > 1:
                return [opened for fetched in batch for opened in self.open([fetched])]
            (fetched,) = batch
            if fetched.outcome is FetchOutcome.FAILED:
                raise
            fetched.outcome, fetched.problem = FetchOutcome.FAILED, unexpected(error, fetched.item.name)
            fetched.sample, fetched.head = None, ""
            return self.open(batch)

    def _open(self, batch: list[Fetched]) -> list[OpenAttempt]:
        db = self.context.db
        rows = [(fetched, self._new_attempt(fetched)) for fetched in batch]
        ready = [OpenAttempt(attempt, fetched) for fetched, attempt in rows if fetched.outcome is FetchOutcome.READY]
        with self._transaction():
            if connections[db].features.can_return_rows_from_bulk_insert:
                LoadAttempt.objects.using(db).bulk_create([attempt for _, attempt in rows])
            else:
                for _, attempt in rows:
                    attempt.save(using=db)
            for fetched, attempt in rows:
                if fetched.outcome is not FetchOutcome.READY:
                    end = self._unsendable(fetched)
                    end.item["read_since"] = None
                    close(db, attempt, end)
            keys = [opened.fetched.item.pk for opened in ready]
            BucketObject.objects.using(db).filter(pk__in=keys).update(state=ObjectState.LOADING, read_since=None)
        return ready

    def start(self, *opened: OpenAttempt) -> None:
        """Commits that these inserts begin, now or right after those before, and what has ended.

        Raises LeaseLost, and changes nothing, if another owner may insert by now.
        """
        server, lease = self.context.server, self.context.lease
        alone = len(opened) == 1 and not (self._inserted or self._ended)
        with write_lock(self.context.db) if alone else self._transaction():
            for one in opened:
                attempt, one.started = one.attempt, monotonic()
                attempt.insert_start_time = self.context.clock.now()
                values = self._time(attempt.insert_start_time), attempt.lock_waits, attempt.pk
                if not self._execute(START, *values, server.pk, lease.fence, lease.token):
                    raise LeaseLost(f"Lost the lease of {server} to {lease.owner()}.")

    def sending(self, opened: OpenAttempt) -> None:
        """Called just before a send: the true start goes into the row with the end."""
        opened.attempt.insert_start_time = self.context.clock.now()
        self.context.lease.sending(opened.attempt.batch_sample_number or 0)

    def answered(self, attempt: LoadAttempt, status: int, message: str) -> None:
        """Commits an answer that is not the end yet: the server must be asked first whether it holds the sample."""
        attempt.insert_end_time, attempt.insert_status_code, attempt.message = (
            self.context.clock.now(),
            status or None,
            message,
        )
        with self._transaction():
            _open_row(self.context.db, attempt).update(
                insert_start_time=attempt.insert_start_time,
                insert_end_time=attempt.insert_end_time if status else None,
                insert_status_code=attempt.insert_status_code,
                message=message,
            )

    def inserted(self, attempt: LoadAttempt) -> None:
        """Closes an attempt that was answered with 200, with the next transaction, as `end` does."""
        self._inserted.append((attempt, self.context.clock.now()))

    def end(self, attempt: LoadAttempt, end: AttemptEnd, status: int = 0) -> None:
        """Closes an attempt with the next transaction: call `flush` before waiting for anything."""
        if status:
            end.attempt |= {
                "insert_start_time": attempt.insert_start_time,
                "insert_end_time": self.context.clock.now(),
                "insert_status_code": status,
            }
        self._ended.append((attempt, end))

    def flush(self) -> None:
        """Commits what has ended."""
        if self._ended or self._inserted:
            with self._transaction():
                pass

    def finish(self) -> None:
        """All that was due has been tried."""
        self.flush()
        BatchLoad.objects.using(self.context.db).filter(pk=self.batch.pk).update(finished=self.context.clock.now())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction that begins with what has ended. If it is lost, the next one does, or the next pass finds these attempts
        open and recovers them."""
        with locked_transaction(self.context.db):
            for attempt, at in self._inserted:
                if self._execute(INSERTED, self._time(attempt.insert_start_time), self._time(at), attempt.pk):
                    self._execute(LOADED, attempt.fn4id, attempt.seq_digest, self._time(at), attempt.bucket_object_id)
            for attempt, end in self._ended:
                close(self.context.db, attempt, end)
            yield
        self._inserted, self._ended = [], []

    def _execute(self, sql: str, *parameters: Any) -> int:  # noqa: ANN401 - any value of a column
        with connections[self.context.db].cursor() as cursor:
            cursor.execute(sql, parameters)
            return int(cursor.rowcount)

    def _time(self, at: datetime | None) -> Any:  # noqa: ANN401 - as the vendor wants it
        return connections[self.context.db].ops.adapt_datetimefield_value(at)

    def _unsendable(self, fetched: Fetched) -> AttemptEnd:
        now = self.context.clock.now()
        if fetched.outcome is FetchOutcome.NEVER:
            return rejected(fetched.problem, now)
        if fetched.outcome is FetchOutcome.GONE:
            return AttemptEnd(
                {"outcome": AttemptOutcome.FAILED, "completed": 0, "message": fetched.problem},
                {"state": ObjectState.GONE, "reason": fetched.problem, "done_at": now},
            )
        end = failed(fetched.problem, now, tries=fetched.item.tries, spend=fetched.outcome is not FetchOutcome.LATER)
        end.item.setdefault("not_before", now + timedelta(seconds=FIRST_BACK_OFF_SECONDS))
        return end

    def _new_attempt(self, fetched: Fetched) -> LoadAttempt:
        self.place += 1
        sample = fetched.sample
        return LoadAttempt(
            host_name=self.context.host,
            findneighbour_server_url=self.context.server.url,
            parse_status="Success" if sample else f"Failed, {fetched.problem}",
            batch_start_time=self.batch.check_time,
            batch_size=self.batch.batch_size,
            batch_sample_number=self.place,
            seqid=fetched.item.seqid,
            file_name=fetched.item.name,
            len_seq=len(sample.sequence) if sample else None,
            first_128_chars=fetched.head,
            bucket_read_start_time=fetched.read_start,
            bucket_read_end_time=fetched.read_end,
            fn4id=sample.guid if sample else None,
            feed=self.context.feed,
            server=self.context.server,
            bucket_object=fetched.item,
            batch_load=self.batch,
            fence=self.context.lease.fence,
            seq_digest=sample.digest if sample else None,
            outcome=AttemptOutcome.OPEN,
            completed=0,
        )


def close(db: str, attempt: LoadAttempt, end: AttemptEnd) -> None:
    """Closes an attempt and updates its object, in the caller's transaction; no effect if it is already closed."""
    if _open_row(db, attempt).update(**end.attempt) and attempt.bucket_object_id:
        BucketObject.objects.using(db).filter(pk=attempt.bucket_object_id).update(**end.item)


def _open_row(db: str, attempt: LoadAttempt) -> QuerySet[LoadAttempt]:
    return LoadAttempt.objects.using(db).filter(pk=attempt.pk, outcome=AttemptOutcome.OPEN)
