"""A django-q2 cluster that stops in order, ends with its parent, and starts anew when its guard dies.

What django-q2 leaves open: a worker that is in the middle of a job is not told that the cluster stops; children of a
killed process live on; and a process that is killed takes the locks with it that it holds, of a queue or of a worker's
timer, so that no other worker ever gets a job again.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

from django.utils import timezone
from django_q import cluster as django_q_cluster
from django_q import scheduler as django_q_scheduler
from django_q.pusher import pusher
from django_q.worker import worker

from core.jobs import decorator

PR_SET_PDEATHSIG = 1
SLICE = 0.2
LOST = 10.0
"""Seconds after which a lock that is held for microseconds went with a process that was killed."""
MOST_ENDS, LIVED = 10, 1.0
"""After so many guards in a row that lived for less than so many seconds no other is started: settings or broker are wrong."""

log = logging.getLogger("fnloader.jobs")


class Timer:
    """How long a worker may still work; below 0 it is idle. Reading takes no lock, and the lock is not waited for in vain."""

    def __init__(self) -> None:
        self._seconds = multiprocessing.RawValue("f", -1)
        self._lock = multiprocessing.RLock()

    @property
    def value(self) -> float:
        """Seconds; 0: it is to end, -1: idle, -2: it ended to be replaced."""
        return float(self._seconds.value)

    @value.setter
    def value(self, seconds: float) -> None:
        self._seconds.value = seconds

    @contextmanager
    def get_lock(self) -> Iterator[None]:
        """As that of a multiprocessing.Value. Ends this process if nobody will give it back."""
        if not self._lock.acquire(timeout=LOST):
            log.error("A process of the cluster was killed while it held a lock.")
            sys.exit(1)
        try:
            yield
        finally:
            self._lock.release()


class OnlyForIdle:
    """A broker for the pusher, which takes a job only when a worker is free: else another cluster may take it."""

    def __init__(self, broker: Any, queue: Any, timers: list[Timer]) -> None:  # noqa: ANN401 - django-q2 has no types
        self._broker, self._queue, self._timers = broker, queue, timers

    def dequeue(self) -> Any:  # noqa: ANN401 - what the broker gives
        """As the broker's own, or nothing while all workers are busy."""
        # A timer above 0 runs down while its worker is busy.
        if sum(timer.value < 0 for timer in self._timers) > self._queue.qsize():
            return self._broker.dequeue()
        time.sleep(SLICE)
        return None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a broker can do
        return getattr(self._broker, name)


class Guard(django_q_cluster.Sentinel):  # type: ignore[misc]
    """Guards the workers."""

    def spawn_cluster(self) -> None:
        """As many timers as workers, shared with the pusher: a worker that takes another one's place takes its timer."""
        self.timers = [Timer() for _ in range(self.pool_size)]
        super().spawn_cluster()

    def spawn_worker(self) -> None:
        """A worker with a timer that no living worker has."""
        used = [process.timer for process in self.pool]
        timer = next(one for one in self.timers if not any(one is other for other in used))
        timer.value = -1
        self.spawn_process(worker, self.task_queue, self.result_queue, timer, self.timeout)

    def spawn_pusher(self) -> Any:  # noqa: ANN401 - a process
        """A pusher that leaves jobs to others while all workers are busy."""
        return self.spawn_process(
            pusher, self.task_queue, self.event_out, OnlyForIdle(self.broker, self.task_queue, self.timers)
        )

    def stop(self) -> None:
        """In order, if all are there: who waits for a lock that went with another one can't be told in order."""
        if any(process.exitcode for process in (*self.pool, self.monitor, self.pusher)):
            sys.exit(1)
        super().stop()

    def reincarnate(self, process: Any) -> None:  # noqa: ANN401 - a process of multiprocessing
        """Replaces a process that ended. If it was killed, all begin anew: it may have taken a lock with it."""
        if process.exitcode and not self.stop_event.is_set():
            log.error("A process of the cluster was killed (status %s): starting anew.", process.exitcode)
            # Children are told to end, and waited for: an insert in flight is finished and recorded.
            sys.exit(1)
        super().reincarnate(process)


class Cluster(django_q_cluster.Cluster):  # type: ignore[misc]
    """One cluster: this process, a guard, its workers, a pusher and a monitor."""

    def __init__(self) -> None:
        super().__init__()
        self.told = False

    def run(self) -> int:
        """Until it is told to stop (SIGTERM, Ctrl-C): then jobs under way end early, and 0 is returned; 1 if it can't run."""
        decorator.cluster_stop_flag = multiprocessing.RawValue("b", 0)
        _end_children_with_their_parent()
        django_q_cluster.Sentinel = Guard
        compare_schedules_in_utc()
        ends = 0
        while not self.told:
            began = time.monotonic()
            with suppress(RuntimeError):  # the guard ended before it was ready
                self.start()
            while not self.told and self.sentinel.is_alive():
                time.sleep(SLICE)
            ends = ends + 1 if time.monotonic() - began < LIVED else 0
            if not self.told and ends == MOST_ENDS:
                return 1
            if not self.told:
                log.error("The guard of the jobs ended; it is started again.")
                time.sleep(SLICE)
        decorator.cluster_stop_flag.value = 1
        if self.sentinel:
            # Not in this thread: a guard that is killed while it waits for the event would be waited for, for ever.
            Thread(target=self.stop_event.set, daemon=True).start()
            self.sentinel.join()
        return 0

    def sig_handler(self, _signum: int, _frame: object) -> None:
        """Only notes it: `run` does the rest, where it can't interrupt itself."""
        self.told = True


def compare_schedules_in_utc() -> None:
    """Lets django-q2's scheduler ask for the time in UTC.

    It goes on to the next run of a schedule until that is later than now. Both are times of one zone, for which Python ignores
    `fold`: in the hour that clocks repeat, 02:15 would never be later than 02:30, and the scheduler would never end.
    """
    django_q_scheduler.localtime = timezone.now


def _end_children_with_their_parent() -> None:
    """On Linux, every process that is forked from now on gets a SIGTERM when its parent dies, however that dies."""
    if sys.platform != "linux":
        return
    prctl: Callable[..., int] = ctypes.CDLL(None).prctl
    os.register_at_fork(after_in_child=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
