"""One pass over one feed: look, settle what is unclear, load what is due, earliest first (reference/object-store-loader.txt).

Plain Python: a command, a job and an admin action all call `Loader.run`. It knows how to stop, when to wait, and that a
server or a store that is away is nobody's fault.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings

from core.processes import monotonic
from loader.coordination import turn_taking
from loader.coordination.database_clock import DatabaseClock
from loader.coordination.lease import Lease, LeaseLost
from loader.fn4.client import FindNeighbour4
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.ledger import scan
from loader.ledger.queue import last_place, new_batch, unfinished
from loader.models import Feed, Server
from loader.pipeline.inserter import BatchInserter
from loader.pipeline.journal import Journal
from loader.pipeline.recovery import AttemptRecovery
from loader.pipeline.result import PassResult
from objectstores.base import Store, StoreError

PROBE_WAIT = 3.0
LEASE_WAIT = 10.0
SLICE = 0.2
COUNT_EVERY = timedelta(hours=1)


@dataclass
class FeedPass:
    """Feeds one server from one bucket. `run` may be called again and again."""

    feed: Feed
    store: Store
    fn4: FindNeighbour4
    db: str = "default"
    stop: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda _text: None
    tick: Callable[[int, int], None] = lambda _done, _due: None
    """Called with how many of how many samples of this pass are done."""
    host: str = field(default_factory=lambda: str(settings.HOST_NAME))
    begun: bool = False
    """The server answered, the lease was ours and the bucket was listed, once: what comes after is no mistake of the call."""

    others: Callable[[], bool] = lambda: False
    """Whether another feed of the server waits in this process."""
    enough: Callable[[int], bool] | None = None
    """For a job: whether the turn is over after so many samples. It never waits, and goes on with a batch left unfinished."""
    _unfinished: tuple[Journal, PassResult] | None = None

    def __post_init__(self) -> None:
        self.server: Server = self.feed.server
        self.clock = DatabaseClock(self.server, self.db)
        self.lease = Lease(self.server, self.db, self.host)

    @property
    def unfinished(self) -> bool:
        """The last turn gave way to another feed of the server: the next one goes on with the same batch."""
        return self._unfinished is not None

    def run(self) -> PassResult:
        """One pass, in as many turns as it takes. What can end it early, and how that is told: see `turn`."""
        result = self.turn()
        while self.unfinished:
            try:
                self.pause(turn_taking.YIELD_SECONDS, beat=False)
            except turn_taking.StopRequested:
                self._unfinished, result.stopped = None, True
            else:
                result = self.turn()
        return result

    def turn(self) -> PassResult:
        """One pass, or a part of it if another feed of the server waits; the result is that of the pass until now.

        Trouble with the server, the store or the lease ends the pass early and is told; it is never raised.
        What the database raises is raised: whatever was under way is then found open by the next pass.
        """
        journal, result = self._unfinished or (None, PassResult())
        self._unfinished = None
        try:
            self._probe()
            self._close_circuit()
            self._take_lease()
            try:
                self.settler().recover_all()
                journal = journal or self._left_over(result) or self._look(result)
                if not BatchInserter(self, journal, result).load():
                    self._unfinished = journal, result
                elif result.inserted:
                    Server.objects.using(self.db).filter(pk=self.server.pk).update(counted_at=None)
            finally:
                self.lease.release()
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
        batch = unfinished(self.feed, self.db) if self.enough else None
        if not batch:
            return None
        result.listed, result.ignored, result.new = batch.listed or 0, batch.ignored or 0, batch.found or 0
        result.due = batch.batch_size or 0
        place = last_place(batch, self.db)
        return Journal(self.feed, self.server, self.lease, self.clock, self.db, self.host, batch, place)

    def _look(self, result: PassResult) -> Journal:
        self.clock.sync()
        analysis = scan.scan(self.feed, self.store, self.db, self.clock, self.beat)
        in_server = self._count_server()
        batch = new_batch(self.feed, analysis, self.db, self.host, self.clock.now(), in_server)
        result.listed, result.ignored, result.new = analysis.listed, analysis.ignored, analysis.found
        result.due, result.gone = batch.batch_size or 0, analysis.gone
        self.begun = True
        return Journal(self.feed, self.server, self.lease, self.clock, self.db, self.host, batch)

    def _probe(self) -> None:
        """Asks whether the server is well, for some seconds before it counts as away."""
        until = monotonic() + PROBE_WAIT
        while True:
            try:
                self.fn4.probe()
            except ServerUnavailable:
                if self.enough or monotonic() > until:
                    raise
                self.pause(0.5, beat=False)
            else:
                return

    def _take_lease(self) -> None:
        until = monotonic() + (turn_taking.TURN_WAIT if self.begun else LEASE_WAIT)
        while not self.lease.acquire():
            if self.enough or monotonic() > until:
                self.lease.want()
                raise LeaseLost(f"{self.server} is being fed by {self.lease.owner()}; one loader at a time may insert.")
            self.lease.want()
            self.pause(0.5, beat=False)
        self.clock.sync()

    def settler(self) -> AttemptRecovery:
        """Who finds out what became of an insert whose end was not seen."""
        deadline = settings.FN4_INSERT_DEADLINE
        return AttemptRecovery(self.server, self.fn4, self.clock, self.db, deadline, self.pause, self.say, self.lease)

    def pause(self, seconds: float, *, beat: bool = True) -> None:
        """Waits in short slices and keeps the lease. Raises turns.Stopped, and NotNow in a job."""
        if self.enough:
            raise turn_taking.TryLater(f"{self.server} may still be working on an insert; a later job goes on.")
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            if self.stop():
                raise turn_taking.StopRequested
            if beat:
                self.lease.beat()
            time.sleep(min(SLICE, left))

    def check_stop(self) -> None:
        """Raises turns.Stopped when it is time to stop."""
        if self.stop():
            raise turn_taking.StopRequested

    def beat(self) -> None:
        """Keeps the lease while something is waited for; raises turns.Stopped or LeaseLost."""
        self.check_stop()
        self.lease.beat()

    def _count_server(self) -> int | None:
        """Counts the server's samples when something was loaded since, or an hour has passed; else None (domain.md 4)."""
        counted = Server.objects.using(self.db).values_list("counted_at", flat=True).get(pk=self.server.pk)
        if counted and self.clock.now() - counted < COUNT_EVERY:
            return None
        number = self.fn4.count()
        Server.objects.using(self.db).filter(pk=self.server.pk).update(
            number_in_server=number, counted_at=self.clock.now()
        )
        return number

    def _open_circuit(self, reason: str) -> None:
        row = Server.objects.using(self.db).filter(pk=self.server.pk, circuit_open_since__isnull=True)
        row.update(circuit_open_since=self.clock.now(), circuit_reason=reason[:900])

    def _close_circuit(self) -> None:
        row = Server.objects.using(self.db).filter(pk=self.server.pk, circuit_open_since__isnull=False)
        row.update(circuit_open_since=None, circuit_reason="")
