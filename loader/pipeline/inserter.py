"""Inserts what is due, one sample at a time, while the next ones are fetched and parsed (domain.md 2)."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from itertools import islice
from math import inf

from core.logs import log_context
from core.processes import monotonic
from loader.choices import LoadResult
from loader.coordination import turn_taking
from loader.fn4.responses import InsertResponse, ResponseKind, ServerMisconfigured, ServerUnavailable
from loader.ledger import queue
from loader.models import LoadAttempt
from loader.pipeline.circuit import Circuit, CircuitOpen, LockWait
from loader.pipeline.context import LoadContext
from loader.pipeline.journal import FRESH_SECONDS, Journal, OpenAttempt, failed, loaded, not_sent
from loader.pipeline.prefetch import PREFETCHED_SAMPLES, Fetched, FetchOutcome, Prefetch
from loader.pipeline.recovery import AttemptRecovery, Recovered
from loader.pipeline.refusals import RefusalCounter
from loader.pipeline.result import PassResult
from loader.pipeline.stored import StoredResult
from loader.pipeline.unexpected import ENDS_PASS, unexpected
from objectstores.base import StoreError, Unavailable

SHORT_INSERT = FRESH_SECONDS / 2
"""Seconds; while such an insert is in flight, the starts of the next ones are committed ahead."""
STARTED_AHEAD_SECONDS, MAX_STARTED_AHEAD = 0.03, 8
"""Seconds' worth of inserts whose starts share a commit, and the largest number of them."""
MAX_FAILURES = 3
"""Files in a row on which the store, or fnloader, fails: then the pass ends, as no file is the reason."""


class BatchInserter:
    """Loads one batch: one insert in flight, the next samples ready before it returns (domain.md 2)."""

    def __init__(self, context: LoadContext, journal: Journal, result: PassResult, circuit: Circuit) -> None:
        self.context, self.journal, self.result, self.circuit = context, journal, result, circuit
        self.fn4, self.lease, self.clock = context.fn4, context.lease, context.clock
        self.recovery = AttemptRecovery(context)
        self.refusals = RefusalCounter(context.feed, context.db)
        self.opened: deque[OpenAttempt] = deque()
        self.turn = turn_taking.TurnTaker(context.feed, context.lease, context.others_wait, context.slice_over)
        self.inserted = 0
        """Samples that the server holds more than before."""
        self._trouble: StoreError | ServerMisconfigured | None = None
        """Met while an insert was in flight; raised when that has ended."""
        self._insert_seconds = inf
        self._fetch_failures = self._insert_failures = 0
        self._finished = result.tried

    def load(self) -> bool:
        """Loads all that is due; False if it yielded to another feed before. Nothing that was not sent stays open."""
        due_at: datetime = self.journal.batch.check_time  # type: ignore[assignment]
        self.items = queue.due(self.context.feed, self.context.db, due_at)
        self.prefetch = Prefetch(self.context)
        if self.circuit.kind:
            # The first sample only shows whether the server takes inserts again.
            self.prefetch.samples = 1
        try:
            while True:
                if not self.opened:
                    if self.turn.over:
                        break
                    self.prefetch.fill(self.items, 0)
                    self.journal.flush()
                    fetched = self.prefetch.take(self.context.heartbeat)
                    self._open(fetched)
                    if not fetched:
                        break
                self.context.check_stop()
                self.turn.next_sample()
                if self.opened:
                    opened = self.opened.popleft()
                    with log_context(sample=opened.attempt.seqid, attempt=opened.attempt.pk):
                        self._insert_or_postpone(opened)
                    self.prefetch.release(opened.fetched)
                if self._trouble:
                    raise self._trouble
            if self.turn.over:
                self.journal.flush()
                return False
            self.journal.finish()
            self.circuit.nothing_due()
        except (turn_taking.StopRequested, ServerUnavailable, ServerMisconfigured, StoreError, turn_taking.PassEnded):
            while self.opened:
                self.journal.end(self.opened.popleft().attempt, not_sent())
            self.journal.flush()
            raise
        finally:
            self.prefetch.close()
            self.fn4.close_idle()
        return True

    def _prepare_next(self) -> None:
        """Works while an insert is in flight, so that the server never waits (domain.md 2)."""
        if not self.turn.over:
            self.prefetch.fill(self.items, len(self.opened) + 1)
        if len(self.opened) < PREFETCHED_SAMPLES // 4 and self.prefetch.ready and not self.turn.over:
            try:
                self._open(self.prefetch.take(self.context.heartbeat))
            except (StoreError, ServerMisconfigured) as error:
                self._trouble = error
        if not self.opened or self._insert_seconds > SHORT_INSERT:
            self.journal.flush()
        elif not self.opened[0].is_started:
            ahead = min(MAX_STARTED_AHEAD, max(1, int(STARTED_AHEAD_SECONDS / max(self._insert_seconds, 0.001))))
            self.journal.start(*islice(self.opened, ahead))
        if self.opened and (sample := self.opened[0].fetched.sample):
            self.fn4.prepare(sample.guid, sample.sequence)

    def _open(self, batch: list[Fetched]) -> None:
        """Opens their attempts; files that can't be loaded are counted at once.

        Raises StoreError, and ServerMisconfigured if the server is the wrong one.
        """
        self.opened.extend(self.journal.open(batch))
        reason = self.refusals.count_lengths(batch) if self.context.reference_length else ""
        for fetched in batch:
            if fetched.outcome is FetchOutcome.READY:
                self._fetch_failures = 0
                continue
            if fetched.outcome is FetchOutcome.NEVER:
                self._count_rejected(fetched, fetched.problem)
            elif fetched.outcome is FetchOutcome.GONE:
                self.result.gone += 1
                self.context.log(f"{fetched.item.name}: deleted or replaced before it was read")
            else:
                self._count_postponed(fetched, fetched.problem)
            self._count_finished()
            is_failure = fetched.outcome in (FetchOutcome.LATER, FetchOutcome.FAILED)
            self._fetch_failures = self._fetch_failures + 1 if is_failure else 0
            self._check_failures(self._fetch_failures, fetched)
        if reason:
            # None of them stays rejected; an earlier run may have counted some.
            self.result.rejected = max(0, self.result.rejected - self.refusals.undone)
            raise ServerMisconfigured(reason)

    def _check_failures(self, in_row: int, fetched: Fetched) -> None:
        """Raises Unavailable after some failures in a row: no single file is the reason."""
        if in_row >= MAX_FAILURES:
            where = self.context.store.describe()
            raise Unavailable(f"{where}: {MAX_FAILURES} files in a row failed: {fetched.problem}")

    def _insert_or_postpone(self, opened: OpenAttempt) -> None:
        """Inserts one sample; after an error that nobody thought of, it waits as long as after no answer, and its file is
        postponed."""
        attempt, fetched = opened.attempt, opened.fetched
        try:
            self._insert(opened)
        except ENDS_PASS:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs this file its turn
            fetched.problem = unexpected(error, fetched.item.name)
            self.fn4.close_idle()
            if attempt.insert_start_time:
                self.journal.flush()
                recovered = self.recovery.recover(attempt, InsertResponse(0, error=fetched.problem))
                self._count_recovered(opened, recovered, fetched.problem)
            else:
                end = failed(fetched.problem, self.clock.now(), tries=fetched.item.tries, spend=True)
                self.journal.end(attempt, end)
                self._count_postponed(fetched, fetched.problem)
            self._count_finished()
            self._insert_failures += 1
            self._check_failures(self._insert_failures, fetched)
        else:
            self._insert_failures = 0

    def _insert(self, opened: OpenAttempt) -> None:
        """Inserts one sample and records the outcome."""
        attempt, sample = opened.attempt, opened.fetched.sample
        assert sample  # noqa: S101 - only parsed files are opened
        lock = LockWait(self.context, self.circuit)
        while True:
            if not opened.is_started:
                self.journal.start(opened)
            self.lease.ensure()
            self.journal.sending(opened)
            sent_at = monotonic()
            try:
                pending = self.fn4.begin_insert(sample.guid, sample.sequence, self._while_waiting)
            except (ServerUnavailable, ServerMisconfigured):
                self.journal.end(attempt, not_sent())
                raise
            if attempt.lock_waits:
                self.journal.flush()
            else:
                self._prepare_next()
            response = pending.wait()
            self._insert_seconds = monotonic() - sent_at
            if response.kind is not ResponseKind.LOCKED:
                break
            attempt.lock_waits, opened.started = (attempt.lock_waits or 0) + 1, -inf
            self.fn4.close_idle()
            if not lock.again():
                self.journal.end(attempt, failed(response.text, self.clock.now(), tries=0, spend=False), 409)
                self.context.check_stop()
                raise CircuitOpen(self.circuit.reason)
        if response.kind is ResponseKind.DONE:
            self._record_done(opened, response.status)
        else:
            self.journal.answered(attempt, response.status, response.text)
            self._count_recovered(opened, self.recovery.recover(attempt, response, sample.md5), response.text)
        self._count_finished()
        self._update_circuit(attempt, response)

    def _update_circuit(self, attempt: LoadAttempt, response: InsertResponse) -> None:
        """Raises CircuitOpen if the server refuses every insert."""
        if response.kind is ResponseKind.DONE and response.status == 200:
            self.inserted += 1
            self.circuit.inserted()
            self.prefetch.samples = PREFETCHED_SAMPLES
        elif response.status >= 500 and response.kind is not ResponseKind.NEVER:
            self.result.postponed = max(0, self.result.postponed - self.circuit.failed(attempt))
            if self.circuit.refuses:
                raise CircuitOpen(self.circuit.reason)

    def _while_waiting(self) -> None:
        """Called while an insert is in flight: nothing of ours holds a worker of the server for long."""
        self.fn4.close_idle(even_if_young=False)
        self.lease.heartbeat()

    def _record_done(self, opened: OpenAttempt, status: int) -> None:
        self.refusals.success()
        attempt, sample = opened.attempt, opened.fetched.sample
        if status == 200:
            self.result.inserted += 1
            self.journal.inserted(attempt)
            return
        # An attempt that is not yet written may be the one that inserted this id.
        self.journal.flush()
        stored = self.recovery.check.present(attempt, sample.md5 if sample else "")
        self._count_stored(attempt, stored, is_new=False)
        self.journal.end(attempt, loaded(stored, attempt, self.clock.now()), status)

    def _count_stored(self, attempt: LoadAttempt, stored: StoredResult, *, is_new: bool) -> None:
        if stored.result is LoadResult.UNPROVEN:
            self.context.log(self.result.add_unproven(attempt.fn4id or "", stored.reason))
            return
        is_conflict = stored.result is LoadResult.CONFLICTING
        self.result.inserted += is_new and not is_conflict
        self.result.already_there += is_conflict or not is_new
        if is_conflict:
            self.result.conflicting += 1
            self.context.log(f"{attempt.file_name}: the server keeps another sequence for {attempt.fn4id}")

    def _count_recovered(self, opened: OpenAttempt, recovered: Recovered, text: str) -> None:
        fetched, kind = opened.fetched, recovered.kind
        if recovered.stored:
            self._count_stored(opened.attempt, recovered.stored, is_new=True)
            self.refusals.success()
        elif kind is ResponseKind.NEVER:
            self._count_rejected(fetched, text)
            in_row = self.refusals.in_row + 1
            if reason := self.refusals.refused(text):
                # None of them stays rejected; an earlier run may have counted some.
                self.result.rejected = max(0, self.result.rejected - in_row)
                raise ServerMisconfigured(reason)
        else:
            self._count_postponed(fetched, text)

    def _count_rejected(self, fetched: Fetched, reason: str) -> None:
        self.result.rejected += 1
        self.context.log(f"{fetched.item.name}: rejected: {reason}")

    def _count_postponed(self, fetched: Fetched, reason: str) -> None:
        self.result.postponed += 1
        self.context.log(f"{fetched.item.name}: will retry: {reason}")

    def _count_finished(self) -> None:
        self._finished += 1
        self.context.progress(self._finished, self.result.due)
