"""Finds out what became of attempts that were begun and not closed (design.md, promise 4).

After an unclear end - the loader was killed, no answer came, a proxy gave up - the server may still be working on the
insert. So nothing is sent to it until it says that the sample exists, or the deadline has passed since that request.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.fn4.responses import InsertResponse, ResponseKind, ServerMisconfigured
from loader.models import BucketObject, LoadAttempt, Server
from loader.pipeline.context import LoadContext
from loader.pipeline.journal import AttemptEnd, close, failed, loaded, not_sent, rejected

ON_THE_WAY = 1.0
"""Seconds beyond the deadline: a start is stamped before the request leaves, and a server counts from when it has it whole."""


@dataclass
class AttemptRecovery:
    """Closes the open attempts of one server, whoever opened them. Its user holds the server's lease."""

    context: LoadContext

    def recover_all(self) -> int:
        """Closes all that is open; returns how many. Raises what the server's `exists` raises, and then leaves the rest open."""
        count = 0
        rows = LoadAttempt.objects.using(self.context.db).filter(
            server=self.context.server, outcome=AttemptOutcome.OPEN
        )
        for attempt in rows.select_related("bucket_object").order_by("gp_int_id").iterator(chunk_size=200):
            self.settle(attempt, None)
            count += 1
        return count

    def settle(self, attempt: LoadAttempt, answer: InsertResponse | None) -> ResponseKind:
        """Closes one attempt truthfully and says what its end meant.

        `answer` is what has just come for it, None for an attempt of the past; a try is spent only if somebody saw how it ended.
        Raises ServerMisconfigured, after closing, when the answer came from something that is no findNeighbour4 server.
        """
        unknown = answer is None and not (attempt.insert_status_code or attempt.message)
        if attempt.insert_start_time is None or (unknown and not self.context.lease.may_have_sent(attempt)):
            self._close(attempt, not_sent())
            return ResponseKind.LATER
        past = InsertResponse(
            attempt.insert_status_code or 0, error=attempt.message or "no answer is known: the loader ended"
        )
        final = answer or past
        if self._wait_until_known(attempt, final):
            result = sent_result(self.context.server, attempt, self.context.db)
            self._close(attempt, loaded(AttemptOutcome.FOUND, result, attempt, self.context.clock.now()))
            return ResponseKind.DONE
        # A message is there if an answer, or the end of the connection, was seen: by us now, or by a job that did not wait.
        self._close(attempt, self._lost(attempt, final, spend=answer is not None or bool(attempt.message)))
        if final.meaning is ResponseKind.MISCONFIGURED and answer:
            raise ServerMisconfigured(f"{self.context.server.url} answered an insert with {final.text}")
        return final.meaning

    def _wait_until_known(self, attempt: LoadAttempt, answer: InsertResponse) -> bool:
        """True when the server holds the sample; False when it certainly will not take it from that request any more."""
        begun = attempt.insert_start_time
        assert begun  # noqa: S101 - the caller closed those that were never sent
        # A clock that was set back lets it begin in the future: the deadline from now on is long enough in any case.
        until = min(begun, self.context.clock.now()) + timedelta(seconds=settings.FN4_INSERT_DEADLINE + ON_THE_WAY)
        told = False
        while not self.context.fn4.exists(attempt.fn4id or ""):
            left = (until - self.context.clock.now()).total_seconds()
            if answer.meaning is not ResponseKind.UNCLEAR or left <= 0:
                return False
            if not told:
                self.context.say(
                    f"{attempt.seqid}: {answer.text}. The server may still insert it; waiting at most {left:.0f} s."
                )
                told = True
            self.context.pause(min(1.0, left))
        return True

    def _lost(self, attempt: LoadAttempt, answer: InsertResponse, *, spend: bool) -> AttemptEnd:
        tries = attempt.bucket_object.tries if attempt.bucket_object else 0
        now = self.context.clock.now()
        if answer.meaning is ResponseKind.NEVER:
            return rejected(answer.text, now)
        return failed(answer.text, now, tries=tries, spend=spend and answer.meaning is not ResponseKind.MISCONFIGURED)

    def _close(self, attempt: LoadAttempt, closing: AttemptEnd) -> None:
        with transaction.atomic(using=self.context.db):
            close(self.context.db, attempt, closing)


def present_result(server: Server, attempt: LoadAttempt, db: str) -> LoadResult:
    """What a 201 means: the server held the id before, with the same sequence, another one, or one that we do not know."""
    known = _known_digest(server, attempt, db)
    if known is None:
        return LoadResult.PRESENT
    return LoadResult.SAME if known == attempt.seq_digest else LoadResult.CONFLICTING


def sent_result(server: Server, attempt: LoadAttempt, db: str) -> LoadResult:
    """What it means that a sample exists after we sent it and got no clear answer."""
    known = _known_digest(server, attempt, db)
    return LoadResult.CONFLICTING if known not in (None, attempt.seq_digest) else LoadResult.FOUND


def _known_digest(server: Server, attempt: LoadAttempt, db: str) -> str | None:
    return (
        BucketObject.objects.using(db)
        .filter(guid=attempt.fn4id, feed__server=server, state=ObjectState.LOADED)
        .filter(result__in=(LoadResult.INSERTED, LoadResult.FOUND, LoadResult.SAME))
        .exclude(pk=attempt.bucket_object_id or 0)
        .order_by("done_at")
        .values_list("seq_digest", flat=True)
        .first()
    )
