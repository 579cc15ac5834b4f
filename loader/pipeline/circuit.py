"""The circuit of a server: open while nothing is sent to it (design.md, promise 5).

`AWAY`: it does not answer. `REFUSES`: it answers questions, but every insert is a 5xx, because its engine is down or its database
can't be written. Then no sample spends a try, and the server is asked about itself, once a minute; when it says that it works,
or can't say, one sample is sent, and the first insert that succeeds closes the circuit. `LOCKED`: another insert has held the
lock of inserts for some time. No question shows that, so each pass sends one sample.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timedelta

from django.db.models import F, Q
from django.db.models.functions import Coalesce

from core.processes import monotonic
from loader.choices import AttemptOutcome, CircuitKind, ObjectState
from loader.coordination import turn_taking
from loader.coordination.engine_question import claim_question
from loader.coordination.write_lock import locked_transaction
from loader.fn4.insert import LOCK_WAIT
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.models import BucketObject, LoadAttempt, Server
from loader.pipeline.context import POLL_SECONDS, LoadContext
from loader.pipeline.server_check import ServerCheck

REFUSALS_TO_OPEN = 3
"""Samples that fail with a 5xx one after the other."""
MAX_FAILURES = 200
"""How many attempts are looked at for failures in a row."""
REFUSED_WITH_ALL = "The server refused every insert, no try was spent: "
"""Begins the message of each attempt that was part of it: such an attempt counts once."""
LOCK_PROBE_SECONDS = 2.0
"""How long a job waits for the lock, and any loader once it is known to be stuck."""
LOCK_NOTED_SECONDS = 10.0
MAX_LOCK_PAUSE = 3.0


class CircuitOpen(turn_taking.PassEnded):
    """The server takes no insert for now; the pass ends."""


class Circuit:
    """Of one server, for one pass. Its user holds the lease, except for `server_answers` and `server_away`."""

    def __init__(self, context: LoadContext) -> None:
        self._context, self._db = context, context.db
        self._row = Server.objects.using(self._db).filter(pk=context.server.pk)
        self.kind, self.since, self.reason = "", context.clock.now(), ""
        self._load()

    def _load(self) -> None:
        kind, since, self.reason = self._row.values_list("circuit_kind", "circuit_open_since", "circuit_reason").get()
        self.kind, self.since = (kind or CircuitKind.AWAY if since else ""), since or self._context.clock.now()

    @property
    def refuses(self) -> bool:
        """Whether the server refuses every insert."""
        return self.kind == CircuitKind.REFUSES

    def server_answers(self) -> datetime | None:
        """It answered a question, so it is not away. Returns since when it was."""
        if self.kind != CircuitKind.AWAY:
            return None
        self._close()
        return self.since

    def server_away(self, reason: str) -> None:
        """It did not answer."""
        closed = Q(circuit_open_since=None) | Q(circuit_kind__in=(CircuitKind.REFUSES, CircuitKind.LOCKED))
        self._row.filter(closed).update(
            circuit_open_since=Coalesce("circuit_open_since", self._context.clock.now()),
            circuit_kind=CircuitKind.AWAY,
            circuit_reason=reason,
        )

    def check(self, server: ServerCheck) -> datetime | None:
        """While it refuses inserts: asks it about itself. Returns since when it refused them, if it may work again.

        Raises CircuitOpen if it does not, or was asked less than a minute ago.
        """
        self._load()
        if not self.refuses:
            return None
        if not claim_question(self._context.server, self._db):
            raise CircuitOpen(self.reason)
        try:
            server.ask_engine()
        except ServerUnavailable:
            # One that never told anything about itself may just be unable to.
            if server.has_ever_told:
                raise CircuitOpen(self.reason) from None
        except ServerMisconfigured:
            pass
        return self.since

    def inserted(self) -> None:
        """An insert was answered with 200."""
        if self.refuses:
            since = LoadAttempt.objects.using(self._db).filter(
                server=self._context.server,
                outcome=AttemptOutcome.FAILED,
                insert_status_code__gte=500,
                insert_start_time__gte=self.since,
            )
            with locked_transaction(self._db):
                self._give_back(list(since.exclude(message__startswith=REFUSED_WITH_ALL)))
        if self.kind:
            self._close()

    def nothing_due(self) -> None:
        """A pass has tried all that was due: a lock that nothing waits for is no trouble."""
        if self.kind == CircuitKind.LOCKED:
            self._close()

    def failed(self, attempt: LoadAttempt) -> int:
        """An insert ended with a 5xx for which the sample itself is not known to be the reason. Returns how many postponed
        samples wait again; `kind` says whether the circuit is open now."""
        failures = self._failures_in_a_row()
        samples = {failure.bucket_object_id for failure in failures if failure.bucket_object_id}
        # A sample that fails again when others succeed has itself to blame: it never counts twice.
        marked = LoadAttempt.objects.using(self._db).filter(
            bucket_object__in=samples, message__startswith=REFUSED_WITH_ALL
        )
        new = samples - set(marked.values_list("bucket_object", flat=True))
        if len(new) < (1 if self.refuses else REFUSALS_TO_OPEN):
            return 0
        with locked_transaction(self._db):
            if not self.refuses:
                reason = "It answers questions, but refuses every insert: its engine is down, or its database can't be written."
                self._open(CircuitKind.REFUSES, f"{reason} Last answer: {attempt.message}", self._context.clock.now())
            return self._give_back(failures)

    def lock_noted(self, since: datetime) -> None:
        """Another insert has held the lock since then."""
        if self.kind != CircuitKind.LOCKED:
            reason = (
                f"Since {since:%Y-%m-%d %H:%M:%S} UTC each insert has been answered with HTTP 409: the lock is held."
            )
            self._open(CircuitKind.LOCKED, reason, since)

    def _failures_in_a_row(self) -> list[LoadAttempt]:
        """The last failures of the feed since an insert succeeded, or since the circuit was opened for them; of any pass."""
        # By an index of what was read last; samples that are read at one time are sent in the order of their keys.
        read = LoadAttempt.objects.using(self._db).filter(
            feed=self._context.feed, server=self._context.server, bucket_read_start_time__isnull=False
        )
        last = sorted(read.order_by("-bucket_read_start_time")[:MAX_FAILURES], key=lambda row: row.pk, reverse=True)
        ended = (
            row
            for row in last
            if row.insert_start_time and row.outcome not in (AttemptOutcome.OPEN, AttemptOutcome.NOT_SENT)
        )
        failures: list[LoadAttempt] = []
        for attempt in ended:
            refused = attempt.outcome in (AttemptOutcome.FAILED, AttemptOutcome.UNPROVEN)
            if attempt.outcome in (AttemptOutcome.INSERTED, AttemptOutcome.FOUND) or (
                (attempt.message or "").startswith(REFUSED_WITH_ALL)
            ):
                break
            if refused and (attempt.insert_status_code or 0) >= 500:
                failures.append(attempt)
        return failures

    def _give_back(self, failures: list[LoadAttempt]) -> int:
        """Takes back the tries that these failures spent, and their delays, in the caller's transaction. Returns how many
        samples wait again."""
        given_back = 0
        failures = [failure for failure in failures if failure.outcome == AttemptOutcome.FAILED]
        tries = Counter(failure.bucket_object_id for failure in failures if failure.bucket_object_id)
        for failure in failures:
            text = f"{REFUSED_WITH_ALL}{failure.message}"
            LoadAttempt.objects.using(self._db).filter(pk=failure.pk).update(message=text)
        for key, number in tries.items():
            waiting = BucketObject.objects.using(self._db).filter(pk=key, state=ObjectState.WAITING)
            # MySQL has no negative difference of unsigned numbers.
            given_back += waiting.filter(tries__lt=number).update(tries=0, not_before=None) or waiting.update(
                tries=F("tries") - number, not_before=None
            )
        return given_back

    def _open(self, kind: CircuitKind, reason: str, since: datetime) -> None:
        self.kind, self.since, self.reason = kind, since, reason
        self._row.update(circuit_open_since=since, circuit_kind=kind, circuit_reason=self.reason)

    def _close(self) -> None:
        same = Q(circuit_kind=self.kind) | Q(circuit_kind="")
        self._row.filter(same).update(circuit_open_since=None, circuit_kind="", circuit_reason="")
        self.kind = ""


class LockWait:
    """Waits while another insert holds the lock: for longer than the server's lock manager takes to free it, but a job, which
    must not wait, and a loader that knows it to be stuck, for a moment only."""

    def __init__(self, context: LoadContext, circuit: Circuit) -> None:
        self._context, self._circuit = context, circuit
        self._first_at, self._from = context.clock.now(), monotonic()
        self._waits = 0
        held = self._first_at - circuit.since if circuit.kind == CircuitKind.LOCKED else timedelta(0)
        is_short = context.slice_over or held >= timedelta(seconds=LOCK_WAIT)
        self._seconds = LOCK_PROBE_SECONDS if is_short else LOCK_WAIT - held.total_seconds()

    def again(self) -> bool:
        """Waits for longer and longer; False if the insert is not to be sent again: too late, or the loader is to stop."""
        context, waited = self._context, monotonic() - self._from
        self._waits += 1
        pause = min(0.05 * self._waits, MAX_LOCK_PAUSE, max(0.0, self._seconds - waited) + 0.05)
        if waited >= self._seconds:
            self._circuit.lock_noted(self._first_at)
            return False
        if waited >= LOCK_NOTED_SECONDS:
            self._circuit.lock_noted(self._first_at)
        until = monotonic() + pause
        while (left := until - monotonic()) > 0:
            if context.stop():
                return False
            context.lease.heartbeat()
            time.sleep(min(POLL_SECONDS, left))
        return True
