"""Locks that went with a process that was killed: nobody waits for them for ever."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest

from fnloader_site import cluster
from fnloader_site.cluster import Timer


def die_with_its_lock(timer: Timer) -> None:
    with timer.get_lock():
        timer.value = 7
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_timer_whose_holder_was_killed_can_be_read_and_ends_who_wants_its_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "LOST", 0.1)
    timer = Timer()
    with timer.get_lock(), timer.get_lock():
        assert timer.value == -1
    process = multiprocessing.get_context("fork").Process(target=die_with_its_lock, args=(timer,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert timer.value == 7
    with pytest.raises(SystemExit), timer.get_lock():
        pytest.fail("the lock is lost")
