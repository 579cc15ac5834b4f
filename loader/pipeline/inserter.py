"""Inserts what is due, one sample at a time, while the next ones are fetched and parsed (domain.md 2)."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime, timedelta
from itertools import islice
from math import inf

from core.logs import log_context
from core.processes import monotonic
from loader.choices import AttemptOutcome, LoadResult
from loader.coordination import turn_taking
from loader.fn4.responses import ResponseKind, ServerMisconfigured, ServerUnavailable
from loader.ledger import queue
from loader.models import LoadAttempt
from loader.pipeline.context import LoadContext
from loader.pipeline.journal import FRESH_SECONDS, Journal, OpenAttempt, failed, loaded, not_sent
from loader.pipeline.prefetch import AHEAD, Fetched, FetchOutcome, Prefetch
from loader.pipeline.recovery import AttemptRecovery, present_result
from loader.pipeline.refusals import RefusalCounter
from loader.pipeline.result import PassResult
from objectstores.base import StoreError, Unavailable

LOCK_WAIT = 120.0
SHORT_INSERT = FRESH_SECONDS / 2
"""Seconds; while such an insert is in flight, the starts of the next ones are committed ahead."""
STARTED_AHEAD, MOST_AHEAD = 0.03, 8
"""So many seconds' worth of inserts, and so many at the most, share a commit of their starts."""
STORE_FAILURES = 3


class BatchInserter:
    """The loading of one batch: one insert in flight, the next samples ready before it returns (domain.md 2)."""

    def __init__(self, context: LoadContext, journal: Journal, result: PassResult) -> None:
        self.context, self.journal, self.result = context, journal, result
        self.fn4, self.lease, self.clock = context.fn4, context.lease, context.clock
        self.recovery = AttemptRecovery(context)
        self.refusals = RefusalCounter(context.feed, context.db)
        self.opened: deque[OpenAttempt] = deque()
        self.turn = turn_taking.TurnTaker(
            context.feed, context.lease, context.others, context.enough or turn_taking.never
        )
        self._trouble: StoreError | None = None
        self._insert_seconds = inf
        self._store_failures = 0
        self._done = result.tried

    def load(self) -> bool:
        """Loads all that is due; False when it gave way to another feed before. Nothing that was not sent stays open."""
        at: datetime = self.journal.batch.check_time  # type: ignore[assignment]
        self.items = queue.due(self.context.feed, self.context.db, at)
        self.prefetch = Prefetch(self.context.feed, self.context.store, self.clock)
        try:
            while self.opened or (not self.turn.over and self._open_more()):
                self.context.check_stop()
                self.turn.next_sample()
                if self.opened:
                    next_one = self.opened.popleft()
                    with log_context(sample=next_one.attempt.seqid, attempt=next_one.attempt.pk):
                        self._insert(next_one)
                if self._trouble:
                    raise self._trouble
            if self.turn.over:
                self.journal.flush()
                return False
            self.journal.finish()
        except (turn_taking.StopRequested, ServerUnavailable, ServerMisconfigured, StoreError, turn_taking.PassEnded):
            self._give_back()
            raise
        finally:
            self.prefetch.close()
        return True

    def _open_more(self) -> bool:
        """Waits for the next samples and opens their attempts; False when there are no more."""
        self.prefetch.fill(self.items, 0)
        self.journal.flush()
        taken = self.prefetch.take(self.context.beat)
        self._open(taken)
        return bool(taken)

    def _meanwhile(self) -> None:
        """What is done while an insert is in flight, so that the server never waits for it (domain.md 2)."""
        if not self.turn.over:
            self.prefetch.fill(self.items, len(self.opened))
        if len(self.opened) < AHEAD // 4 and self.prefetch.ready and not self.turn.over:
            try:
                self._open(self.prefetch.take(self.context.beat))
            except StoreError as error:
                self._trouble = error
        if not self.opened or self._insert_seconds > SHORT_INSERT:
            self.journal.flush()
        elif not self.opened[0].is_started:
            ahead = min(MOST_AHEAD, max(1, int(STARTED_AHEAD / max(self._insert_seconds, 0.001))))
            self.journal.start(*islice(self.opened, ahead))
        if self.opened and (following := self.opened[0].fetched.sample):
            self.fn4.prepare(following.guid, following.sequence)

    def _open(self, taken: list[Fetched]) -> None:
        self.opened.extend(self.journal.open(taken))
        for one in taken:
            if not one.sample:
                self._unloadable(one)

    def _unloadable(self, one: Fetched) -> None:
        if one.outcome is FetchOutcome.NEVER:
            self._rejected(one, one.problem)
        elif one.outcome is FetchOutcome.GONE:
            self.result.gone += 1
            self.context.say(f"{one.item.name}: gone or replaced before it could be read")
        else:
            self._postponed(one, one.problem)
        self._tick()
        self._store_failures = self._store_failures + 1 if one.outcome is FetchOutcome.LATER else 0
        if self._store_failures >= STORE_FAILURES:
            raise Unavailable(
                f"{self.context.store.describe()} failed for {STORE_FAILURES} files in a row: {one.problem}"
            )

    def _insert(self, opened: OpenAttempt) -> None:
        """Gets one sample into the server, or finds out why not, and writes it down."""
        attempt, sample = opened.attempt, opened.fetched.sample
        assert sample  # noqa: S101 - only what was parsed is opened
        first_asked = monotonic()
        while True:
            if not opened.is_started:
                self.journal.start(opened)
            self.lease.ensure()
            self.journal.sending(opened)
            begun = monotonic()
            try:
                sent = self.fn4.begin_insert(sample.guid, sample.sequence)
            except (ServerUnavailable, ServerMisconfigured):
                self.journal.end(attempt, not_sent())
                raise
            self._meanwhile()
            answer = sent.answer(self.lease.beat)
            self._insert_seconds = monotonic() - begun
            if answer.meaning is not ResponseKind.LOCKED:
                break
            attempt.lock_waits, opened.started = (attempt.lock_waits or 0) + 1, -inf
            if monotonic() - first_asked > LOCK_WAIT or self.context.stop():
                self._still_locked(opened, answer.text)
                return
            time.sleep(min(0.05 * attempt.lock_waits, 1.0))
        if answer.meaning is ResponseKind.DONE:
            self._in(attempt, answer.status)
        else:
            self.journal.answered(attempt, answer.status, answer.text)
            self._judge(opened, self.recovery.settle(attempt, answer), answer.text)
        self._tick()

    def _in(self, attempt: LoadAttempt, status: int) -> None:
        self.refusals.success()
        if status == 200:
            self.result.inserted += 1
            self.journal.inserted(attempt)
            return
        # What is not yet written may be the very sample that this id was loaded with.
        self.journal.flush()
        result = present_result(self.context.server, attempt, self.context.db)
        self._count_present(attempt, result)
        self.journal.end(attempt, loaded(AttemptOutcome.PRESENT, result, attempt, self.clock.now()), status)

    def _count_present(self, attempt: LoadAttempt, result: LoadResult) -> None:
        if result == LoadResult.CONFLICTING:
            self.result.conflicting += 1
            self.context.say(
                f"{attempt.file_name}: the server holds {attempt.fn4id} with another sequence, and keeps it"
            )
        self.result.already_there += 1

    def _judge(self, opened: OpenAttempt, meaning: ResponseKind, text: str) -> None:
        if meaning is ResponseKind.DONE:
            self.result.inserted += 1
            self.refusals.success()
        elif meaning is ResponseKind.NEVER:
            self._refused(opened.fetched, text)
        else:
            self._postponed(opened.fetched, text)

    def _refused(self, one: Fetched, text: str) -> None:
        self._rejected(one, text)
        in_row = self.refusals.in_row + 1
        if why := self.refusals.refused(text):
            # None of them stays rejected; some may have been counted by a run before this one.
            self.result.rejected = max(0, self.result.rejected - in_row)
            raise ServerMisconfigured(why)

    def _still_locked(self, opened: OpenAttempt, text: str) -> None:
        closing = failed(text, self.clock.now(), tries=0, spend=False)
        closing.item["not_before"] = self.clock.now() + timedelta(seconds=60)
        self.journal.end(opened.attempt, closing, 409)
        self._postponed(opened.fetched, text)
        self._tick()

    def _rejected(self, one: Fetched, why: str) -> None:
        self.result.rejected += 1
        self.context.say(f"{one.item.name}: rejected: {why}")

    def _postponed(self, one: Fetched, why: str) -> None:
        self.result.postponed += 1
        self.context.say(f"{one.item.name}: to be tried again: {why}")

    def _tick(self) -> None:
        self._done += 1
        self.context.progress(self._done, self.result.due)

    def _give_back(self) -> None:
        while self.opened:
            self.journal.end(self.opened.popleft().attempt, not_sent())
        self.journal.flush()
