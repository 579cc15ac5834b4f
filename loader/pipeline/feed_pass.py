"""One pass over one feed: scan the bucket, recover open attempts, load what is due (reference/object-store-loader.txt).

Plain Python: commands, jobs and tests call it alike. A server or a store that is unavailable ends a pass and no program.
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
MAX_REASON_LENGTH = 900


class FeedPass:
    """Feeds one server from one bucket. `turn` may be called again and again."""

    def __init__(self, context: LoadContext) -> None:
        self.context = context
        self.begun = False
        """The server answered, the lease was ours and the bucket was listed once: the call itself is not the problem."""
        self._unfinished: tuple[Journal, PassResult] | None = None

    @property
    def unfinished(self) -> PassResult | None:
        """The result so far, if the last turn yielded to another feed of the server: the next turn continues the batch."""
        return self._unfinished[1] if self._unfinished else None

    def turn(self) -> PassResult:
        """One pass, or a part of it if another feed of the server waits; the result is that of the pass so far.

        Trouble with the server, the store or the lease ends the pass and is part of the result; it is never raised.
        Database errors are raised: the next pass recovers what was open.
        """
        context = self.context
        journal, result = self._unfinished or (None, PassResult())
        self._unfinished = None
        server_row = Server.objects.using(context.db).filter(pk=context.server.pk)
        circuit_closed = server_row.filter(circuit_open_since__isnull=True)
        try:
            self._probe()
            server_row.filter(circuit_open_since__isnull=False).update(circuit_open_since=None, circuit_reason="")
            self._acquire_lease()
            try:
                AttemptRecovery(context).recover_all(result)
                journal = journal or self._begin_batch(result, server_row)
                if not BatchInserter(context, journal, result).load():
                    self._unfinished = journal, result
                elif result.inserted:
                    server_row.update(counted_at=None)
            finally:
                context.lease.release()
        except turn_taking.StopRequested:
            result.stopped = True
        except ServerUnavailable as error:
            result.trouble = str(error)
            circuit_closed.update(
                circuit_open_since=context.clock.now(), circuit_reason=result.trouble[:MAX_REASON_LENGTH]
            )
        except ServerMisconfigured as error:
            result.trouble, result.misconfigured = str(error), True
        except (StoreError, LeaseLost, turn_taking.PassEnded) as error:
            result.trouble = str(error)
        return result

    def _begin_batch(self, result: PassResult, server_row: QuerySet[Server]) -> Journal:
        """Scans the bucket; a job first continues the batch that the last job left, in any process."""
        context = self.context
        batch = queue.unfinished(context.feed, context.db) if context.slice_over else None
        if batch:
            result.listed, result.ignored, result.new = batch.listed or 0, batch.ignored or 0, batch.found or 0
            result.due = batch.batch_size or 0
            return Journal(context, batch, queue.last_place(batch, context.db))
        context.clock.sync()
        scanned = scan(context.feed, context.store, context.db, context.clock, context.heartbeat)
        # The server's samples are counted if something was loaded since, or an hour has passed (domain.md 4).
        in_server, now = None, context.clock.now
        counted_at = server_row.values_list("counted_at", flat=True).get()
        if not counted_at or now() - counted_at >= COUNT_EVERY:
            in_server = context.fn4.count()
            server_row.update(number_in_server=in_server, counted_at=now())
        batch = queue.new_batch(context.feed, scanned, context.db, context.host, context.clock.now(), in_server)
        result.listed, result.ignored, result.new = scanned.listed, scanned.ignored, scanned.found
        result.due, result.gone = batch.batch_size or 0, scanned.gone
        self.begun = True
        return Journal(context, batch)

    def _probe(self) -> None:
        """Asks the server for some seconds before it counts as unavailable."""
        until = monotonic() + PROBE_WAIT
        while True:
            try:
                self.context.fn4.probe()
            except ServerUnavailable:
                if self.context.slice_over or monotonic() > until:
                    raise
                self.context.pause(0.5, renew=False)
            else:
                return

    def _acquire_lease(self) -> None:
        context, lease = self.context, self.context.lease
        until = monotonic() + (turn_taking.TURN_WAIT if self.begun else LEASE_WAIT)
        while not lease.acquire():
            lease.want()
            if context.slice_over or monotonic() > until:
                raise LeaseLost(
                    f"{context.server} is being fed by {lease.owner()}; only one loader at a time may insert."
                )
            context.pause(0.5, renew=False)
        context.clock.sync()
