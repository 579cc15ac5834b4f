"""What the server holds under an id that is there already: is it this sequence, and were its links stored?

One call tells the first, some more the second, which is only asked of a sample whose insert of ours ended unclear.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, Q

from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.fn4.facts import StoredSample
from loader.fn4.proof import MAX_COMPARED, LinkProof, LinkQuestions, LinkState
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.models import BucketObject, LoadAttempt
from loader.pipeline.context import LoadContext

COMPARE_SECONDS = 2.0
"""Time-out of the question for a digest."""
MAX_DIGESTS = 1_000
"""Digests that are asked in one batch, between inserts; `feed reconcile --sequences` asks for the rest."""
MAX_ATTEMPTS_BACK = 100_000
"""How far back the samples are searched that were loaded just before one."""


@dataclass(frozen=True, slots=True)
class StoredResult:
    """How an attempt ended for a sample that the server holds."""

    outcome: AttemptOutcome
    result: LoadResult
    reason: str = ""


@dataclass
class StoredCheck:
    """Finds out what the server holds. Its user holds the server's lease, and no insert is in flight."""

    context: LoadContext
    _digests_left: int = MAX_DIGESTS

    def present(self, attempt: LoadAttempt, md5: str) -> StoredResult:
        """After a 201: the id was there before."""
        same, held = self._compare(attempt, md5)
        if same is False:
            return StoredResult(AttemptOutcome.PRESENT, LoadResult.CONFLICTING)
        if held.invalid:
            return StoredResult(AttemptOutcome.PRESENT, LoadResult.INVALID)
        if self._ended_unclear_before(attempt):
            proof = self._ask_links(attempt)
            if proof.state is not LinkState.WRITTEN:
                return StoredResult(AttemptOutcome.UNPROVEN, LoadResult.UNPROVEN, proof.reason)
        return StoredResult(AttemptOutcome.PRESENT, LoadResult.PRESENT if same is None else LoadResult.SAME)

    def found(self, attempt: LoadAttempt, md5: str, until: datetime | None) -> StoredResult:
        """After an unclear end, and `exists` says true.

        Up to `until` the server may still be storing its links: if some are missing, they are waited for.
        """
        same, held = self._compare(attempt, md5)
        if same is False:
            return StoredResult(AttemptOutcome.FOUND, LoadResult.CONFLICTING)
        if held.invalid:
            return StoredResult(AttemptOutcome.FOUND, LoadResult.INVALID)
        if self._known_digest(attempt) is not None:
            return StoredResult(AttemptOutcome.FOUND, LoadResult.FOUND)
        while True:
            proof = self._ask_links(attempt)
            left = (until - self.context.clock.now()).total_seconds() if until else 0
            if proof.state is not LinkState.MISSING or left <= 0:
                break
            self.context.pause(min(1.0, left))
        if proof.state is LinkState.WRITTEN:
            return StoredResult(AttemptOutcome.FOUND, LoadResult.FOUND)
        return StoredResult(AttemptOutcome.UNPROVEN, LoadResult.UNPROVEN, proof.reason)

    def _compare(self, attempt: LoadAttempt, md5: str) -> tuple[bool | None, StoredSample]:
        """Whether it is this sequence, by the server's digest, else by the ledger's; None if nobody knows."""
        held = StoredSample()
        # Not too often: it is here to insert.
        if self._digests_left > 0:
            self._digests_left -= 1
            try:
                held = self.context.fn4.annotation(attempt.fn4id or "", seconds=COMPARE_SECONDS) or held
            except (ServerUnavailable, ServerMisconfigured):
                self._digests_left = 0
        if md5 and held.md5:
            return held.md5 == md5, held
        known = self._known_digest(attempt)
        return (None if known is None else known == attempt.seq_digest), held

    def _known_digest(self, attempt: LoadAttempt) -> str | None:
        """Of another file under this id, which is in the server with its links; None if there is none."""
        return (
            BucketObject.objects.using(self.context.db)
            .filter(guid=attempt.fn4id, feed__server=self.context.server, state=ObjectState.LOADED)
            .filter(result__in=(LoadResult.INSERTED, LoadResult.FOUND, LoadResult.SAME))
            .exclude(pk=attempt.bucket_object_id or 0)
            .order_by("done_at")
            .values_list("seq_digest", flat=True)
            .first()
        )

    def _ended_unclear_before(self, attempt: LoadAttempt) -> bool:
        """Whether the last attempt of ours that may have stored this id ended without its links proven."""
        sent = LoadAttempt.objects.using(self.context.db).filter(
            fn4id=attempt.fn4id, server=self.context.server, insert_start_time__isnull=False
        )
        decisive = Q(outcome__in=(AttemptOutcome.INSERTED, AttemptOutcome.FOUND, AttemptOutcome.UNPROVEN))
        # Other statuses mean that the server, or what stands before it, stored nothing.
        may_have_stored = Q(insert_status_code=None) | Q(insert_status_code__gte=500)
        unclear = Q(outcome=AttemptOutcome.FAILED) & may_have_stored
        last = sent.exclude(pk=attempt.pk).filter(decisive | unclear).order_by("-gp_int_id")
        outcome = last.values_list("outcome", flat=True).first()
        return outcome in (AttemptOutcome.UNPROVEN, AttemptOutcome.FAILED)

    def _ask_links(self, attempt: LoadAttempt) -> LinkProof:
        inserted = LoadAttempt.objects.using(self.context.db).filter(
            server=self.context.server, outcome=AttemptOutcome.INSERTED
        )

        def were_before(guids: list[str]) -> set[str]:
            rows = inserted.filter(fn4id__in=guids).order_by().values_list("fn4id").annotate(last=Max("gp_int_id"))
            return {str(guid) for guid, last in rows if last < attempt.pk}

        recent = inserted.filter(gp_int_id__lt=attempt.pk, gp_int_id__gt=attempt.pk - MAX_ATTEMPTS_BACK)
        ids = [guid for guid in recent.order_by("-gp_int_id").values_list("fn4id", flat=True)[:MAX_COMPARED] if guid]
        before = were_before(ids) if ids else set()
        return LinkQuestions(
            self.context.fn4,
            attempt.fn4id or "",
            [guid for guid in ids if guid in before],
            lambda guids: were_before(guids) if guids else set(),
            self.context.lease.heartbeat,
        ).ask()
