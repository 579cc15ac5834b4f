"""Finds out how attempts ended that were begun and not closed (design.md, promise 4).

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
from loader.pipeline.journal import close, failed, loaded, not_sent, rejected

TRANSIT_SECONDS = 1.0
"""Added to the deadline: a start is stamped before the request leaves, and a server counts from when it has all of it."""


@dataclass
class AttemptRecovery:
    """Closes the open attempts of one server, of any loader. Its user holds the server's lease."""

    context: LoadContext

    def recover_all(self) -> int:
        """Closes all that is open; returns the number. Raises what the server's `exists` raises, and leaves the rest open."""
        count = 0
        rows = LoadAttempt.objects.using(self.context.db).filter(
            server=self.context.server, outcome=AttemptOutcome.OPEN
        )
        for attempt in rows.select_related("bucket_object").order_by("gp_int_id").iterator(chunk_size=200):
            self.recover(attempt, None)
            count += 1
        return count

    def recover(self, attempt: LoadAttempt, response: InsertResponse | None) -> ResponseKind:
        """Closes one attempt truthfully and returns what its end means.

        `response` is what has just come for it, None for an attempt of the past; a try is spent only if its end was seen.
        Raises ServerMisconfigured, after closing, if the response came from something that is not a findNeighbour4 server.
        """
        unseen = response is None and not (attempt.insert_status_code or attempt.message)
        if attempt.insert_start_time is None or (unseen and not self.context.lease.may_have_sent(attempt)):
            end, kind = not_sent(), ResponseKind.LATER
        else:
            final = response or InsertResponse(
                attempt.insert_status_code or 0, error=attempt.message or "no answer was recorded: the loader ended"
            )
            kind, now = final.kind, self.context.clock.now
            if self._wait_until_known(attempt, final):
                result = sent_result(self.context.server, attempt, self.context.db)
                end, kind = loaded(AttemptOutcome.FOUND, result, attempt, now()), ResponseKind.DONE
            elif kind is ResponseKind.NEVER:
                end = rejected(final.text, now())
            else:
                # A message is there if an answer, or the end of the connection, was seen: by us, or by a job that did not wait.
                seen = response is not None or bool(attempt.message)
                tries = attempt.bucket_object.tries if attempt.bucket_object else 0
                spend = seen and kind is not ResponseKind.MISCONFIGURED
                end = failed(final.text, now(), tries=tries, spend=spend)
        with transaction.atomic(using=self.context.db):
            close(self.context.db, attempt, end)
        if kind is ResponseKind.MISCONFIGURED and response:
            raise ServerMisconfigured(f"{self.context.server.url} answered an insert with {response.text}")
        return kind

    def _wait_until_known(self, attempt: LoadAttempt, response: InsertResponse) -> bool:
        """True if the server holds the sample; False if it can no longer take it from that request."""
        begun = attempt.insert_start_time
        assert begun  # noqa: S101 - the caller closed those that were never sent
        # A clock that was set back lets it begin in the future: the deadline from now on is long enough in any case.
        deadline = timedelta(seconds=settings.FN4_INSERT_DEADLINE + TRANSIT_SECONDS)
        until = min(begun, self.context.clock.now()) + deadline
        logged = False
        while not self.context.fn4.exists(attempt.fn4id or ""):
            left = (until - self.context.clock.now()).total_seconds()
            if response.kind is not ResponseKind.UNCLEAR or left <= 0:
                return False
            if not logged:
                self.context.log(
                    f"{attempt.seqid}: {response.text}. The server may still insert it; waiting up to {left:.0f} s."
                )
                logged = True
            self.context.pause(min(1.0, left))
        return True


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
