"""Writes what is attempted before it is done, and what became of it after (design.md, promise 4).

The start of an insert is committed before it is sent, together with the end of an earlier one: while the one before is in
flight if that is short, so that the server does not wait for a commit. What was not written when a process died is found open
by the next one (`pipeline/recovery.py`), and what was not sent is known from the lease's note (`coordination/sent_marker.py`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Any

from django.db import connections
from django.db.models import F, QuerySet

from core.processes import monotonic
from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.coordination.lease import LeaseLost
from loader.coordination.write_lock import locked_transaction, write_lock
from loader.models import BatchLoad, BucketObject, LoadAttempt
from loader.pipeline.context import LoadContext
from loader.pipeline.prefetch import Fetched, FetchOutcome

FRESH_SECONDS = 0.5
"""Seconds for which a start that was committed ahead counts: the deadline after an unclear end is reckoned from it."""
FIRST_BACK_OFF = 30.0
LONGEST_BACK_OFF = 24 * 3600.0

# The three statements of every sample that goes well. Django builds each anew in half a millisecond, which is as long as
# everything else that a sample of 30 kB costs; these are plain SQL that every database understands (bench/load.py).
START = """
    UPDATE fn4loadattempt SET insert_start_time = %s, lock_waits = %s
    WHERE gp_int_id = %s AND outcome = 'open'
    AND EXISTS (SELECT 1 FROM loader_server WHERE id = %s AND fence = %s AND lease_token = %s)"""
INSERTED = """
    UPDATE fn4loadattempt SET outcome = 'inserted', completed = 1, insert_status_code = 200, insert_start_time = %s,
    insert_end_time = %s WHERE gp_int_id = %s AND outcome = 'open'"""
LOADED = """
    UPDATE loader_bucketobject SET state = 'loaded', result = 'inserted', guid = %s, seq_digest = %s, done_at = %s
    WHERE id = %s"""


@dataclass(slots=True)
class OpenAttempt:
    """An attempt whose row is open, with what is to be sent."""

    attempt: LoadAttempt
    fetched: Fetched
    started: float = -inf
    """When its start was committed last, by this machine's monotonic clock."""

    @property
    def is_started(self) -> bool:
        """Whether it may be sent."""
        return monotonic() - self.started < FRESH_SECONDS


@dataclass(slots=True)
class AttemptEnd:
    """How an attempt ended, and what follows for its object."""

    attempt: dict[str, Any]
    item: dict[str, Any]


def loaded(outcome: AttemptOutcome, result: LoadResult, attempt: LoadAttempt, at: datetime) -> AttemptEnd:
    """The sample is in the server."""
    return AttemptEnd(
        {"outcome": outcome, "completed": 1},
        {
            "state": ObjectState.LOADED,
            "result": result,
            "guid": attempt.fn4id or "",
            "seq_digest": attempt.seq_digest or "",
            "reason": "the server keeps another sequence under this id" if result == LoadResult.CONFLICTING else "",
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
    """To be tried again, later and later if it is this sample's try that failed (`spend`)."""
    again: dict[str, Any] = {"state": ObjectState.WAITING, "reason": reason}
    if spend:
        again |= {"tries": F("tries") + 1, "not_before": at + timedelta(seconds=back_off(tries))}
    return AttemptEnd({"outcome": AttemptOutcome.FAILED, "completed": 0, "message": reason}, again)


def not_sent() -> AttemptEnd:
    """Opened ahead and never sent: nothing happened, and nothing follows."""
    return AttemptEnd(
        {"outcome": AttemptOutcome.NOT_SENT, "completed": 0, "insert_start_time": None}, {"state": ObjectState.WAITING}
    )


def back_off(tries: int) -> float:
    """Seconds until the next try after `tries` failed ones and this: doubling, with jitter, a day at the most."""
    return float(min(FIRST_BACK_OFF * 2 ** min(tries, 20), LONGEST_BACK_OFF) * random.uniform(0.7, 1.3))  # noqa: S311 - jitter


@dataclass
class Journal:
    """The rows of one batch as it is loaded."""

    context: LoadContext
    batch: BatchLoad
    place: int = 0
    _ended: list[tuple[LoadAttempt, AttemptEnd]] = field(default_factory=list)
    _inserted: list[tuple[LoadAttempt, datetime]] = field(default_factory=list)

    def open(self, fetched: list[Fetched]) -> list[OpenAttempt]:
        """Writes a row for each; those that can't be sent are closed at once. Returns the others."""
        attempts = [self._attempt(one) for one in fetched]
        ready = [OpenAttempt(row, one) for row, one in zip(attempts, fetched, strict=True) if one.sample]
        with locked_transaction(self.context.db):
            self._write_ended()
            self._create(attempts)
            for row, one in zip(attempts, fetched, strict=True):
                if not one.sample:
                    self._close(row, self._unsendable(one))
            BucketObject.objects.using(self.context.db).filter(pk__in=[one.fetched.item.pk for one in ready]).update(
                state=ObjectState.LOADING
            )
        return ready

    def start(self, *opened: OpenAttempt) -> None:
        """Commits that these inserts begin, now or as soon as those before are over, and what has ended.

        Raises LeaseLost, and changes nothing, if somebody else may insert by now.
        """
        if len(opened) == 1 and not (self._inserted or self._ended):
            with write_lock(self.context.db):
                self._start(opened[0])
        else:
            with locked_transaction(self.context.db):
                self._write_ended()
                for one in opened:
                    self._start(one)

    def sending(self, opened: OpenAttempt) -> None:
        """It leaves now: the true start goes into the row with the end."""
        opened.attempt.insert_start_time = self.context.clock.now()
        self.context.lease.sending(opened.attempt.batch_sample_number or 0)

    def _start(self, opened: OpenAttempt) -> None:
        attempt, opened.started = opened.attempt, monotonic()
        attempt.insert_start_time = self.context.clock.now()
        if not self._execute(
            START,
            self._time(attempt.insert_start_time),
            attempt.lock_waits,
            attempt.pk,
            self.context.server.pk,
            self.context.lease.fence,
            self.context.lease.token,
        ):
            raise LeaseLost(f"The lease of {self.context.server} went to {self.context.lease.owner()}.")

    def answered(self, attempt: LoadAttempt, status: int, message: str) -> None:
        """Commits an answer that is not the end yet: what became of the sample must be asked first."""
        attempt.insert_end_time, attempt.insert_status_code, attempt.message = (
            self.context.clock.now(),
            status or None,
            message,
        )
        with locked_transaction(self.context.db):
            self._write_ended()
            self._open_row(attempt).update(
                insert_start_time=attempt.insert_start_time,
                insert_end_time=attempt.insert_end_time if status else None,
                insert_status_code=attempt.insert_status_code,
                message=message,
            )

    def inserted(self, attempt: LoadAttempt) -> None:
        """Closes an attempt that was answered with 200, with the next transaction, as `end` does."""
        self._inserted.append((attempt, self.context.clock.now()))

    def end(self, attempt: LoadAttempt, closing: AttemptEnd, status: int = 0) -> None:
        """Closes an attempt with the next transaction: call `flush` before waiting for anything."""
        if status:
            closing.attempt |= {
                "insert_start_time": attempt.insert_start_time,
                "insert_end_time": self.context.clock.now(),
                "insert_status_code": status,
            }
        self._ended.append((attempt, closing))

    def flush(self) -> None:
        """Commits what has ended."""
        if self._ended or self._inserted:
            with locked_transaction(self.context.db):
                self._write_ended()

    def finish(self) -> None:
        """All that was due has been tried."""
        self.flush()
        BatchLoad.objects.using(self.context.db).filter(pk=self.batch.pk).update(finished=self.context.clock.now())

    def _write_ended(self) -> None:
        # Inside a transaction of the caller's: what is lost with it is found open, and settled, by the next pass.
        inserted, self._inserted = self._inserted, []
        for attempt, at in inserted:
            if self._execute(INSERTED, self._time(attempt.insert_start_time), self._time(at), attempt.pk):
                self._execute(LOADED, attempt.fn4id, attempt.seq_digest, self._time(at), attempt.bucket_object_id)
        ended, self._ended = self._ended, []
        for attempt, closing in ended:
            self._close(attempt, closing)

    def _close(self, attempt: LoadAttempt, closing: AttemptEnd) -> None:
        close(self.context.db, attempt, closing)

    def _execute(self, sql: str, *parameters: Any) -> int:  # noqa: ANN401 - what a database takes
        with connections[self.context.db].cursor() as cursor:
            cursor.execute(sql, parameters)
            return int(cursor.rowcount)

    def _time(self, at: datetime | None) -> Any:  # noqa: ANN401 - as the vendor wants it
        return connections[self.context.db].ops.adapt_datetimefield_value(at)

    def _open_row(self, attempt: LoadAttempt) -> QuerySet[LoadAttempt]:
        return LoadAttempt.objects.using(self.context.db).filter(pk=attempt.pk, outcome=AttemptOutcome.OPEN)

    def _create(self, attempts: list[LoadAttempt]) -> None:
        if connections[self.context.db].features.can_return_rows_from_bulk_insert:
            LoadAttempt.objects.using(self.context.db).bulk_create(attempts)
        else:
            for attempt in attempts:
                attempt.save(using=self.context.db)

    def _unsendable(self, fetched: Fetched) -> AttemptEnd:
        now = self.context.clock.now()
        if fetched.outcome is FetchOutcome.NEVER:
            return rejected(fetched.problem, now)
        if fetched.outcome is FetchOutcome.GONE:
            return AttemptEnd(
                {"outcome": AttemptOutcome.FAILED, "completed": 0, "message": fetched.problem},
                {"state": ObjectState.GONE, "reason": fetched.problem, "done_at": now},
            )
        closing = failed(
            fetched.problem, now, tries=fetched.item.tries, spend=fetched.outcome is not FetchOutcome.LATER
        )
        closing.item.setdefault("not_before", now + timedelta(seconds=FIRST_BACK_OFF))
        return closing

    def _attempt(self, fetched: Fetched) -> LoadAttempt:
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


def close(db: str, attempt: LoadAttempt, closing: AttemptEnd) -> None:
    """Closes an attempt and moves its object on, in the transaction of the caller; no effect if it is closed already."""
    row = LoadAttempt.objects.using(db).filter(pk=attempt.pk, outcome=AttemptOutcome.OPEN)
    if row.update(**closing.attempt) and attempt.bucket_object_id:
        BucketObject.objects.using(db).filter(pk=attempt.bucket_object_id).update(**closing.item)
