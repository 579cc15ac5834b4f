"""One pass over one feed: scan the bucket, recover open attempts, load what is due (reference/object-store-loader.txt).

Plain Python: commands, jobs and tests call it alike. A server or a store that is unavailable ends a pass and no program.
"""

from __future__ import annotations

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import F

from core.processes import monotonic
from loader.coordination import turn_taking
from loader.coordination.lease import LeaseLost
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.ledger import queue
from loader.ledger.invalid_samples import update_invalid
from loader.ledger.scan import scan
from loader.models import Server
from loader.pipeline.circuit import Circuit, CircuitOpen
from loader.pipeline.context import LoadContext
from loader.pipeline.inserter import BatchInserter
from loader.pipeline.journal import Journal
from loader.pipeline.recovery import AttemptRecovery
from loader.pipeline.result import PassResult
from loader.pipeline.server_check import ServerCheck
from loader.pipeline.unexpected import DATABASE_FAILED, unexpected
from objectstores.base import StoreError
from objectstores.wire import while_waiting

PROBE_WAIT = 3.0
LEASE_WAIT = 10.0


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
        Errors of the database itself are raised: the next pass recovers what was open.
        """
        context = self.context
        journal, result = self._unfinished or (None, PassResult())
        self._unfinished = None
        circuit = Circuit(context)
        try:
            with while_waiting(context.check_stop):
                self._probe()
                troubled_since = circuit.server_answers()
            self._acquire_lease()
            try:
                with while_waiting(context.heartbeat):
                    AttemptRecovery(context).recover_all(result)
                    check = ServerCheck(context)
                    troubled_since = circuit.check(check) or troubled_since
                    journal = journal or self._continued_batch(result)
                    in_server = check.begin(troubled_since, continued=bool(journal))
                    journal = journal or self._begin_batch(result, in_server)
                    self._load(journal, result, circuit)
                    if not self._unfinished:
                        update_invalid(context.server, context.fn4, context.db, context.heartbeat)
            finally:
                context.lease.release()
        except turn_taking.StopRequested:
            result.stopped = True
        except ServerUnavailable as error:
            result.trouble = str(error)
            circuit.server_away(result.trouble)
        except CircuitOpen as error:
            # The call itself is not the problem.
            result.trouble, self.begun = str(error), True
        except ServerMisconfigured as error:
            result.trouble, result.misconfigured = str(error), True
        except (StoreError, LeaseLost, turn_taking.PassEnded) as error:
            result.trouble = str(error)
        except (*DATABASE_FAILED, ObjectDoesNotExist):
            raise
        except Exception as error:  # noqa: BLE001 - a daemon goes on
            result.trouble = f"{context.feed}: {unexpected(error, 'pass')}"
        return result

    def _load(self, journal: Journal, result: PassResult, circuit: Circuit) -> None:
        """Loads what is due, or a part of it, and keeps the number of samples in the server."""
        context, inserter = self.context, BatchInserter(self.context, journal, result, circuit)
        try:
            if not inserter.load():
                self._unfinished = journal, result
        finally:
            if inserter.inserted:
                # The next pass counts them: at least so many there must be.
                number = F("number_in_server") + inserter.inserted
                row = Server.objects.using(context.db).filter(pk=context.server.pk)
                row.update(number_in_server=number, counted_at=None)

    def _continued_batch(self, result: PassResult) -> Journal | None:
        """For a job: the batch that the last job left, in any process."""
        context = self.context
        batch = queue.unfinished(context.feed, context.db) if context.slice_over else None
        if not batch:
            return None
        result.listed, result.ignored, result.new = batch.listed or 0, batch.ignored or 0, batch.found or 0
        result.due = batch.batch_size or 0
        return Journal(context, batch, queue.last_place(batch, context.db))

    def _begin_batch(self, result: PassResult, in_server: int | None) -> Journal:
        """Scans the bucket. `in_server` is the number of samples in the server, if they were counted (domain.md 4)."""
        context = self.context
        context.clock.sync()
        scanned = scan(context.feed, context.store, context.db, context.clock, context.heartbeat)
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
