"""One pass over one feed: scan, recover what is unclear, load what is due, earliest first (reference/object-store-loader.txt).

Plain Python: commands, jobs and tests call it alike. A server or a store that is unavailable is nobody's fault.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet

from core.processes import monotonic
from loader.coordination import turn_taking
from loader.coordination.lease import LeaseLost
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.ledger import queue
from loader.ledger.scan import scan
from loader.models import Server
from loader.pipeline.context import LoadContext
from loader.pipeline.inserter import BatchInserter
from loader.pipeline.journal import Journal
from loader.pipeline.recovery import AttemptRecovery
from loader.pipeline.result import PassResult
from objectstores.base import StoreError

PROBE_WAIT = 3.0
LEASE_WAIT = 10.0
COUNT_EVERY = timedelta(hours=1)


class FeedPass:
    """Feeds one server from one bucket. `turn` may be called again and again."""

    def __init__(self, context: LoadContext) -> None:
        self.context = context
        self.begun = False
        """The server answered, the lease was ours and the bucket was listed, once: what comes after is no mistake of the call."""
        self._unfinished: tuple[Journal, PassResult] | None = None

    @property
    def unfinished(self) -> PassResult | None:
        """The result so far, if the last turn yielded to another feed of the server: the next turn continues the batch."""
        return self._unfinished[1] if self._unfinished else None

    def turn(self) -> PassResult:
        """One pass, or a part of it if another feed of the server waits; the result is that of the pass until now.

        Trouble with the server, the store or the lease ends the pass early and is told; it is never raised.
        What the database raises is raised: whatever was under way is then found open by the next pass.
        """
        context = self.context
        journal, result = self._unfinished or (None, PassResult())
        self._unfinished = None
        try:
            self._probe()
            self._close_circuit()
            self._take_lease()
            try:
                AttemptRecovery(context).recover_all()
                journal = journal or self._left_over(result) or self._scan(result)
                if not BatchInserter(context, journal, result).load():
                    self._unfinished = journal, result
                elif result.inserted:
                    self._server_row().update(counted_at=None)
            finally:
                context.lease.release()
        except turn_taking.StopRequested:
            result.stopped = True
        except ServerUnavailable as error:
            self._open_circuit(str(error))
            result.trouble = str(error)
        except ServerMisconfigured as error:
            result.trouble, result.misconfigured = str(error), True
        except (StoreError, LeaseLost, turn_taking.PassEnded) as error:
            result.trouble = str(error)
        return result

    def _left_over(self, result: PassResult) -> Journal | None:
        """A job goes on where the last one ended, whichever process that was in."""
        context = self.context
        batch = queue.unfinished(context.feed, context.db) if context.enough else None
        if not batch:
            return None
        result.listed, result.ignored, result.new = batch.listed or 0, batch.ignored or 0, batch.found or 0
        result.due = batch.batch_size or 0
        return Journal(context, batch, queue.last_place(batch, context.db))

    def _scan(self, result: PassResult) -> Journal:
        context = self.context
        context.clock.sync()
        found = scan(context.feed, context.store, context.db, context.clock, context.beat)
        in_server = self._count_server()
        batch = queue.new_batch(context.feed, found, context.db, context.host, context.clock.now(), in_server)
        result.listed, result.ignored, result.new = found.listed, found.ignored, found.found
        result.due, result.gone = batch.batch_size or 0, found.gone
        self.begun = True
        return Journal(context, batch)

    def _probe(self) -> None:
        """Asks whether the server is well, for some seconds before it counts as unavailable."""
        until = monotonic() + PROBE_WAIT
        while True:
            try:
                self.context.fn4.probe()
            except ServerUnavailable:
                if self.context.enough or monotonic() > until:
                    raise
                self.context.pause(0.5, beat=False)
            else:
                return

    def _take_lease(self) -> None:
        context, lease = self.context, self.context.lease
        until = monotonic() + (turn_taking.TURN_WAIT if self.begun else LEASE_WAIT)
        while not lease.acquire():
            lease.want()
            if context.enough or monotonic() > until:
                raise LeaseLost(f"{context.server} is being fed by {lease.owner()}; one loader at a time may insert.")
            context.pause(0.5, beat=False)
        context.clock.sync()

    def _count_server(self) -> int | None:
        """Counts the server's samples when something was loaded since, or an hour has passed; else None (domain.md 4)."""
        now = self.context.clock.now
        counted = self._server_row().values_list("counted_at", flat=True).get()
        if counted and now() - counted < COUNT_EVERY:
            return None
        number = self.context.fn4.count()
        self._server_row().update(number_in_server=number, counted_at=now())
        return number

    def _open_circuit(self, reason: str) -> None:
        row = self._server_row().filter(circuit_open_since__isnull=True)
        row.update(circuit_open_since=self.context.clock.now(), circuit_reason=reason[:900])

    def _close_circuit(self) -> None:
        self._server_row().filter(circuit_open_since__isnull=False).update(circuit_open_since=None, circuit_reason="")

    def _server_row(self) -> QuerySet[Server]:
        return Server.objects.using(self.context.db).filter(pk=self.context.server.pk)
