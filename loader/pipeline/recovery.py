"""Finds out how attempts ended that were begun and not closed (design.md, promise 4).

After an unclear end - the loader was killed, no answer came, a proxy gave up - the server may still be working on the
insert. So nothing is sent to it until it says that the sample exists, or the deadline has passed since that request.

A sample that exists may still lack its links, as the server stores them last (`pipeline/stored.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from loader.choices import AttemptOutcome, LoadResult
from loader.fn4.responses import InsertResponse, ResponseKind, ServerMisconfigured
from loader.models import LoadAttempt
from loader.pipeline.context import LoadContext
from loader.pipeline.journal import AttemptEnd, close, failed, loaded, not_sent, rejected
from loader.pipeline.result import PassResult
from loader.pipeline.stored import StoredCheck, StoredResult
from loader.pipeline.unexpected import ENDS_PASS, unexpected

TRANSIT_SECONDS = 1.0
"""Added to the deadline: a start is stamped before the request leaves, and a server counts from when it has all of it."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """How a recovered attempt ended; `stored` if the server holds the sample."""

    kind: ResponseKind
    stored: StoredResult | None = None


@dataclass
class AttemptRecovery:
    """Closes the open attempts of one server, of any loader. Its user holds the server's lease."""

    context: LoadContext

    def __post_init__(self) -> None:
        self.check = StoredCheck(self.context)

    def recover_all(self, result: PassResult) -> int:
        """Closes all that is open; returns the number, and counts and names what is there with unproven links.

        Raises what the server's `exists` raises, and leaves the rest open.
        """
        count = 0
        rows = LoadAttempt.objects.using(self.context.db).filter(
            server=self.context.server, outcome=AttemptOutcome.OPEN
        )
        for attempt in rows.select_related("bucket_object").order_by("gp_int_id").iterator(chunk_size=200):
            stored = self.recover(attempt, None).stored
            if stored and stored.result is LoadResult.UNPROVEN:
                self.context.log(result.add_unproven(attempt.fn4id or "", stored.reason))
            count += 1
        return count

    def recover(self, attempt: LoadAttempt, response: InsertResponse | None, md5: str = "") -> Recovered:
        """Closes one attempt truthfully and returns what its end means.

        `response` is what has just come for it, None for an attempt of the past; a try is spent only if its end was seen.
        `md5` is that of the sequence that was sent, if it is still at hand.
        Raises ServerMisconfigured, after closing, if the response came from something that is not a findNeighbour4 server.
        """
        unseen = response is None and not (attempt.insert_status_code or attempt.message)
        if attempt.insert_start_time is None or (unseen and not self.context.lease.may_have_sent(attempt)):
            end, recovered = not_sent(), Recovered(ResponseKind.LATER)
        else:
            try:
                end, recovered = self._find_out(attempt, response, md5)
            except ENDS_PASS:
                raise
            except Exception as error:  # noqa: BLE001 - it must not come first again and again
                # Nobody knows whether the server holds it: once it can no longer take it from that request, it is tried again.
                until = self._deadline(attempt)
                while (left := (until - self.context.clock.now()).total_seconds()) > 0:
                    self.context.pause(min(1.0, left))
                reason, recovered = unexpected(error, attempt.file_name or ""), Recovered(ResponseKind.LATER)
                tries = attempt.bucket_object.tries if attempt.bucket_object else 0
                end = failed(reason, self.context.clock.now(), tries=tries, spend=True)
        with transaction.atomic(using=self.context.db):
            close(self.context.db, attempt, end)
        if recovered.kind is ResponseKind.MISCONFIGURED and response:
            raise ServerMisconfigured(f"{self.context.server.url} answered an insert with {response.text}")
        return recovered

    def _find_out(
        self, attempt: LoadAttempt, response: InsertResponse | None, md5: str
    ) -> tuple[AttemptEnd, Recovered]:
        """How an attempt ended that was sent."""
        final = response or InsertResponse(
            attempt.insert_status_code or 0, error=attempt.message or "no answer was recorded: the loader ended"
        )
        kind, now = final.kind, self.context.clock.now
        if self._wait_until_known(attempt, final):
            until = self._deadline(attempt) if kind is ResponseKind.UNCLEAR else None
            stored = self.check.found(attempt, md5, until)
            return loaded(stored, attempt, now()), Recovered(ResponseKind.DONE, stored)
        if kind is ResponseKind.NEVER:
            return rejected(final.text, now()), Recovered(kind)
        # A message is there if an answer, or the end of the connection, was seen: by us, or by a job that did not wait.
        seen = response is not None or bool(attempt.message)
        tries = attempt.bucket_object.tries if attempt.bucket_object else 0
        spend = seen and kind is not ResponseKind.MISCONFIGURED
        return failed(final.text, now(), tries=tries, spend=spend), Recovered(kind)

    def _deadline(self, attempt: LoadAttempt) -> datetime:
        """When the server has surely given up on this insert."""
        begun, now = attempt.insert_start_time, self.context.clock.now()
        # A clock that was set back lets it begin in the future: the deadline from now on is long enough in any case.
        return min(begun or now, now) + timedelta(seconds=settings.FN4_INSERT_DEADLINE + TRANSIT_SECONDS)

    def _wait_until_known(self, attempt: LoadAttempt, response: InsertResponse) -> bool:
        """True if the server holds the sample; False if it can no longer take it from that request."""
        until = self._deadline(attempt)
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
