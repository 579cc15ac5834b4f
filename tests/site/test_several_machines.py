"""Several machines on one database: one that vanishes is taken over, one that comes back does no harm."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.loader.runners.test_jobs import SAMPLES, nudge_until_all_is_loaded
from tests.support.feeding import Feeding
from tests.support.jobs import Jobs
from tests.support.truth import assert_all_is_true
from tests.support.waiting import stop, until

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


def everybody(cluster: Jobs, process: subprocess.Popen[str]) -> list[int]:
    """All processes of a cluster, the first one first."""
    found = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], stdout=subprocess.PIPE, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in found.splitlines())}
    ours = [process.pid]
    for pid in ours:
        ours += [child for child, parent in parents.items() if parent == pid]
    return ours


def the_lease_expires_on_another_machine(feeding: Feeding) -> None:
    """A minute passes; whether the owner's process is dead can't be seen from here."""
    feeding.manage.rows(
        "UPDATE loader_server SET lease_expires = '2026-01-01 00:00:00+00', lease_process = 'another-boot 1 1',"
        " job_queued_at = NULL RETURNING 1"
    )


def test_a_machine_that_vanishes_is_taken_over(feeding: Feeding, cluster: Jobs) -> None:
    feeding.put_samples(*SAMPLES)
    feeding.fn4.insert_seconds(0.3)
    one = cluster.start(HOST_NAME="one", JOB_STRETCH="60")
    cluster.nudge()
    until(lambda: feeding.fn4.stats()["samples"], "it loads", one)
    for pid in everybody(cluster, one):
        os.kill(pid, signal.SIGKILL)
    one.communicate()
    two = cluster.start(HOST_NAME="two")
    the_lease_expires_on_another_machine(feeding)
    nudge_until_all_is_loaded(feeding, cluster)
    assert stop(two)[0] == 0
    ((taken_from,),) = feeding.manage.rows("SELECT taken_over_from FROM loader_server")
    assert "on one" in taken_from
    assert {host for (host,) in feeding.attempts("host_name")} == {"one", "two"}
    assert_all_is_true(feeding)


def test_a_machine_that_comes_back_does_no_harm(feeding: Feeding, cluster: Jobs) -> None:
    feeding.put_samples(*SAMPLES)
    feeding.fn4.insert_seconds(0.5)
    one = cluster.start(HOST_NAME="one", JOB_STRETCH="60")
    cluster.nudge()
    until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", one)
    asleep = everybody(cluster, one)
    for pid in asleep:
        os.kill(pid, signal.SIGSTOP)
    two = cluster.start(HOST_NAME="two")
    the_lease_expires_on_another_machine(feeding)
    nudge_until_all_is_loaded(feeding, cluster)
    for pid in reversed(asleep):
        os.kill(pid, signal.SIGCONT)
    feeding.put_samples("late")
    feeding.manage.rows("UPDATE loader_feed SET next_look_at = NULL RETURNING 1")
    nudge_until_all_is_loaded(feeding, cluster)
    assert [stop(process)[0] for process in (one, two)] == [0, 0]
    assert_all_is_true(feeding)
