"""A django-q2 cluster that finishes its jobs when it stops, ends with its parent, and restarts when its sentinel dies.

What django-q2 leaves open: a worker in the middle of a job does not learn that the cluster stops; children of a killed
process live on; and a killed process keeps the locks it holds, of a queue or of a worker's timer, so that no other worker
ever gets a job.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone
from django_q import cluster as django_q_cluster
from django_q import scheduler as django_q_scheduler
from django_q.pusher import pusher
from django_q.worker import worker

from core.jobs import decorator
from core.jobs.registry import RefusedJobError, open_package
from core.jobs.scheduling import bring_back_schedules, switch_off_refused_schedules
from core.processes import end_with_parent

POLL_INTERVAL = 0.2
LOCK_TIMEOUT = 10.0
"""Seconds after which the holder of a lock that is normally held for microseconds must have been killed."""
MAX_FAILED_STARTS, MIN_LIFETIME = 10, 1.0
"""The cluster gives up after so many sentinels in a row that lived less than so many seconds: settings or broker are wrong."""

log = logging.getLogger("fnloader.jobs")


class WorkerTimer:
    """Seconds that a worker may still work; below 0 it is idle. Reading takes no lock, and waiting for the lock is bounded."""

    def __init__(self) -> None:
        self._seconds = multiprocessing.RawValue("f", -1)
        self._lock = multiprocessing.RLock()

    @property
    def value(self) -> float:
        """Seconds; 0: the worker must end, -1: idle, -2: it ended and needs a replacement."""
        return float(self._seconds.value)

    @value.setter
    def value(self, seconds: float) -> None:
        self._seconds.value = seconds

    @contextmanager
    def get_lock(self) -> Iterator[None]:
        """As that of a multiprocessing.Value. Ends this process if the holder of the lock was killed."""
        if not self._lock.acquire(timeout=LOCK_TIMEOUT):
            log.error("A process of the cluster was killed while it held a lock.")
            sys.exit(1)
        try:
            yield
        finally:
            self._lock.release()


class CheckedBroker:
    """A broker for the pusher that takes a job only when a worker is free, so that another cluster may take it.

    It hands on only jobs of this project that this site signed; whatever else stands in the queue is refused and removed.
    """

    def __init__(self, broker: Any, queue: Any, timers: list[WorkerTimer]) -> None:  # noqa: ANN401 - django-q2 has no types
        self._broker, self._queue, self._timers = broker, queue, timers

    def dequeue(self) -> Any:  # noqa: ANN401 - what the broker returns
        """As the broker's own, or nothing while all workers are busy."""
        # A timer above 0 runs down while its worker is busy.
        if sum(timer.value < 0 for timer in self._timers) <= self._queue.qsize():
            time.sleep(POLL_INTERVAL)
            return None
        accepted = []
        for key, package in self._broker.dequeue() or ():
            try:
                open_package(package)
            except RefusedJobError as error:
                log.error("Refused and removed from the queue: %s.", error)  # noqa: TRY400 - a line, whatever was sent
                self._broker.fail(key)
            else:
                accepted.append((key, package))
        return accepted

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else of the broker
        return getattr(self._broker, name)


class JobSentinel(django_q_cluster.Sentinel):  # type: ignore[misc]
    """Starts and replaces the workers, the pusher and the monitor."""

    def spawn_cluster(self) -> None:
        """Makes one timer for each worker, shared with the pusher; a replacement worker takes its predecessor's timer."""
        self.timers = [WorkerTimer() for _ in range(self.pool_size)]
        super().spawn_cluster()

    def spawn_worker(self) -> None:
        """Starts a worker with a timer that no living worker has."""
        used = [process.timer for process in self.pool]
        timer = next(timer for timer in self.timers if not any(timer is other for other in used))
        timer.value = -1
        self.spawn_process(worker, self.task_queue, self.result_queue, timer, self.timeout)

    def spawn_pusher(self) -> Any:  # noqa: ANN401 - a process
        """Starts a pusher that leaves jobs to other clusters while all workers are busy, and refuses what is no job of ours."""
        return self.spawn_process(
            pusher, self.task_queue, self.event_out, CheckedBroker(self.broker, self.task_queue, self.timers)
        )

    def stop(self) -> None:
        """Stops the processes one by one; exits at once if one was killed, as others may wait for its lock."""
        if any(process.exitcode for process in (*self.pool, self.monitor, self.pusher)):
            sys.exit(1)
        super().stop()

    def reincarnate(self, process: Any) -> None:  # noqa: ANN401 - a process of multiprocessing
        """Replaces a process that ended. If it was killed, all restart: it may have held a lock."""
        if process.exitcode and not self.stop_event.is_set():
            log.error("A process of the cluster was killed (status %s). Restarting the cluster.", process.exitcode)
            # Children get a SIGTERM and are waited for: an insert in flight is finished and recorded.
            sys.exit(1)
        super().reincarnate(process)


class JobCluster(django_q_cluster.Cluster):  # type: ignore[misc]
    """One cluster: this process, a sentinel, its workers, a pusher and a monitor."""

    def __init__(self) -> None:
        super().__init__()
        self.stop_requested = False

    def run(self) -> int:
        """Runs until SIGTERM or Ctrl-C, then lets jobs end early and returns 0; returns 1 if it can't run."""
        decorator.cluster_stop_flag = multiprocessing.RawValue("b", 0)
        os.register_at_fork(after_in_child=end_with_parent)
        django_q_cluster.Sentinel = JobSentinel
        django_q_cluster.scheduler = run_scheduler
        compare_schedules_in_utc()
        failed_starts = 0
        while not self.stop_requested:
            started_at = time.monotonic()
            with suppress(RuntimeError):  # the sentinel ended before it was ready
                self.start()
            while not self.stop_requested and self.sentinel.is_alive():
                time.sleep(POLL_INTERVAL)
            failed_starts = failed_starts + 1 if time.monotonic() - started_at < MIN_LIFETIME else 0
            if not self.stop_requested and failed_starts == MAX_FAILED_STARTS:
                return 1
            if not self.stop_requested:
                log.error("The sentinel of the cluster ended. Restarting it.")
                time.sleep(POLL_INTERVAL)
        decorator.cluster_stop_flag.value = 1
        if self.sentinel:
            # In a thread: a sentinel that is killed while it waits for the event would block `set` forever.
            Thread(target=self.stop_event.set, daemon=True).start()
            self.sentinel.join()
        return 0

    def sig_handler(self, _signum: int, _frame: object) -> None:
        """Only sets a flag: `run` does the rest, where it can't interrupt itself."""
        self.stop_requested = True


def run_scheduler(broker: Any = None) -> None:  # noqa: ANN401 - django-q2 has no types
    """A turn of django-q2's scheduler, after what it can't do was put right. An error of the database ends this turn only."""
    try:
        close_old_connections()
        switch_off_refused_schedules()
        bring_back_schedules()
    except (DatabaseError, InterfaceError):
        log.exception("Schedules were not checked. None runs until they can be.")
        return
    django_q_scheduler.scheduler(broker)


def compare_schedules_in_utc() -> None:
    """Makes django-q2's scheduler compare times in UTC.

    It advances a schedule until its next run is later than now. Python ignores `fold` when it compares times of one zone: in
    the hour that clocks repeat, 02:15 would never be later than 02:30, and the scheduler would never end.
    """
    django_q_scheduler.localtime = timezone.now
