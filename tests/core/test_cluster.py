"""A cluster survives the locks of killed processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from core.jobs import cluster
from core.jobs.cluster import WorkerTimer
from tests.support.jobs import Jobs, children
from tests.support.site import Manage
from tests.support.waiting import until


def die_with_its_lock(timer: WorkerTimer) -> None:
    with timer.get_lock():
        timer.value = 7
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_timer_whose_holder_was_killed_can_be_read_and_ends_the_next_holder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "LOCK_TIMEOUT", 0.1)
    timer = WorkerTimer()
    with timer.get_lock(), timer.get_lock():
        assert timer.value == -1
    process = multiprocessing.get_context("fork").Process(target=die_with_its_lock, args=(timer,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert timer.value == 7
    with pytest.raises(SystemExit), timer.get_lock():
        pytest.fail("the lock is lost")


def test_a_cluster_ends_when_its_sentinel_is_killed_while_it_stops(manage: Manage) -> None:
    manage.environment |= {"REDIS_URL": "", "JOB_WORKERS": "1"}
    jobs = Jobs(manage)
    process = jobs.start()
    until(lambda: len(jobs.workers(process)) == 3, "worker, monitor and pusher run", process)
    (sentinel,) = children(process.pid)
    os.kill(sentinel, signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)  # until it stops the sentinel
    os.kill(sentinel, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
