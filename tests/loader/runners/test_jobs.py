"""Feeds loaded by the background jobs: nudged twice, late and in vain, with workers and whole clusters killed."""

from __future__ import annotations

import os
import signal
import time

import pytest

from sandbox.clients import Fn4Sandbox
from tests.support.feeding import Feeding
from tests.support.jobs import Jobs
from tests.support.truth import assert_all_is_true
from tests.support.waiting import stop, until

SAMPLES = [f"s{number}" for number in range(12)]


def all_loaded(feeding: Feeding) -> bool:
    states = [state for _, state, _ in feeding.objects()]
    return len(states) == len(feeding.sent) and set(states) == {"loaded"}


def nudge_until_all_is_loaded(feeding: Feeding, cluster: Jobs) -> None:
    """As the schedule does, but twice a second; the mark of a job that died with its worker counts for 10 s, not for 90."""
    begin = time.monotonic()
    while not all_loaded(feeding):
        assert time.monotonic() < begin + 100, feeding.objects()
        if time.monotonic() > begin + 10:
            feeding.manage.rows("UPDATE loader_server SET job_queued_at = NULL RETURNING 1")
        feeding.manage.rows("UPDATE loader_feed SET next_look_at = NULL RETURNING 1")
        cluster.nudge()
        time.sleep(0.5)


@pytest.mark.parametrize("broker", ["database"], indirect=True)
def test_a_scheduled_feed_is_loaded_stretch_by_stretch_as_one_batch(feeding: Feeding, cluster: Jobs) -> None:
    many = [f"m{number}" for number in range(80)]
    feeding.put_samples(*many)
    feeding.fn4.insert_seconds(0.04)
    process = cluster.start(JOB_STRETCH="1")
    cluster.nudge()
    until(lambda: all_loaded(feeding), "all is loaded", process)
    assert stop(process)[0] == 0
    assert cluster.runs("loader.tasks.load_server") >= 2, "it took several jobs, each of which queued the next"
    assert_all_is_true(feeding)
    sizes = feeding.manage.rows("SELECT batch_size FROM fn4batchload WHERE batch_size > 0")
    assert sizes == [(len(many),)], "a batch is what was due when the bucket was analysed"
    places = [number for (number,) in feeding.attempts("batch_sample_number", "outcome = 'inserted'")]
    assert places == sorted(set(places))


def test_nudges_that_come_in_heaps_load_nothing_twice(feeding: Feeding, cluster: Jobs) -> None:
    feeding.put_samples(*SAMPLES)
    feeding.fn4.insert_seconds(0.1)
    process = cluster.start()
    ((feed, server),) = feeding.manage.rows("SELECT id, server_id FROM loader_feed")
    for _ in range(3):
        cluster.nudge("loader.tasks.load_server", server, times=3)
        cluster.nudge(times=3)
        cluster.nudge("loader.tasks.load_feed", feed, times=2)
    nudge_until_all_is_loaded(feeding, cluster)
    assert stop(process)[0] == 0
    assert_all_is_true(feeding)


@pytest.mark.parametrize(("broker", "seconds"), [("database", 0.0), ("redis", 0.6)], indirect=["broker"])
def test_a_cluster_that_is_told_to_stop_finishes_the_insert_in_flight(
    feeding: Feeding, cluster: Jobs, seconds: float
) -> None:
    feeding.put_samples(*SAMPLES)
    feeding.fn4.insert_seconds(1.0)
    process = cluster.start(JOB_STRETCH="60")
    cluster.nudge()
    until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", process)
    time.sleep(seconds)
    status, said = stop(process)
    assert (status, "Traceback" in said) == (0, False), said
    assert feeding.attempts("1", "outcome = 'open'") == []
    assert len(feeding.attempts("1", "outcome = 'inserted'")) == len(feeding.fn4.guids()) >= 1
    assert feeding.manage.rows("SELECT count(*) FROM loader_server WHERE lease_token <> ''") == [(0,)]


def test_workers_may_be_killed_in_every_phase(feeding: Feeding, cluster: Jobs) -> None:
    feeding.put_samples(*SAMPLES)
    feeding.fn4.insert_seconds(0.3)
    process = cluster.start(JOB_STRETCH="1")
    cluster.nudge()
    until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", process)
    for phase in range(4):
        for pid in cluster.workers(process):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.2 * phase)
        cluster.nudge()
    nudge_until_all_is_loaded(feeding, cluster)
    assert process.poll() is None, "the cluster replaced what was killed"
    assert stop(process)[0] == 0
    assert_all_is_true(feeding)


def test_a_cluster_that_is_killed_leaves_no_process_and_the_next_one_goes_on(feeding: Feeding, cluster: Jobs) -> None:
    feeding.put_samples(*SAMPLES)
    feeding.fn4.insert_seconds(0.3)
    process = cluster.start()
    cluster.nudge()
    until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", process)
    everybody = [*cluster.workers(process), *([] if process.poll() else [process.pid])]
    process.kill()
    process.communicate()
    until(lambda: not any(_alive(pid) for pid in everybody), "all its processes have ended")
    feeding.manage.rows("UPDATE loader_server SET job_queued_at = NULL RETURNING 1")
    second = cluster.start()
    nudge_until_all_is_loaded(feeding, cluster)
    assert stop(second)[0] == 0
    assert_all_is_true(feeding)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_two_clusters_with_host_names_of_their_own_spread_the_servers(feeding: Feeding, cluster: Jobs) -> None:
    with Fn4Sandbox(600, insert_seconds=0.5) as second:
        feeding.fn4.insert_seconds(0.5)
        feeding.put_samples(*SAMPLES[:4])
        added = feeding.manage("feed", "add", "b", second.url, feeding.oci.url(feeding.bucket), "--scheduled")
        assert added.returncode == 0, added.stderr
        both = [cluster.start(HOST_NAME=name, JOB_WORKERS="1", JOB_STRETCH="60") for name in ("one", "two")]
        cluster.nudge()
        until(lambda: feeding.fn4.stats()["in_flight"] and second.stats()["in_flight"], "both servers work", both[0])
        hosts = {host for (host,) in feeding.manage.rows("SELECT lease_host FROM loader_server")}
        assert hosts == {"one", "two"}
        for process in both:
            assert stop(process)[0] == 0
