"""Loader, store, server and database killed and stopped (SIGSTOP) in the middle of each phase of loading a sample.

Whatever was struck, and when: no sample is lost, none is stored by two inserts, and no attempt stays open.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from sandbox.clients import Fn4Sandbox, OciSandbox, Sandbox
from sandbox.genomes import fasta
from tests.support.failing_database import strike
from tests.support.feeding import LENGTH, Feeding
from tests.support.site import POSTGRES, Manage
from tests.support.waiting import stop, until

PHASES = ("listing", "read", "insert", "commit")
WHO = ("loader", "store", "server", "database")
LASTS = 0.5
"""Seconds for which a phase goes on, so that it can be met."""
STOPPED = 1.2
"""Longer than the store's time-out and the server's deadline in these tests."""


@dataclass
class Stage:
    """A daemon that feeds its own server from its own store."""

    feeding: Feeding
    process: subprocess.Popen[str]

    def reach(self, phase: str, unblock: ExitStack) -> None:
        """Puts a sample, and returns in the middle of that phase of loading it."""
        feeding = self.feeding
        feeding.fn4.insert_seconds(LASTS if phase in ("insert", "commit") else 0.0)
        if phase in ("listing", "read"):
            path, name = ("/o?", "") if phase == "listing" else ("/o/", phase)
            rule = {"kind": "delay", "seconds": LASTS, "path": path, "name_prefix": name, "times": 1}
            feeding.oci.faults(rule)
        feeding.put_samples(phase)
        if phase in ("listing", "read"):
            until(lambda: feeding.oci.call("GET", "faults")[0]["done"], f"it is in {phase}", self.process)
            return
        until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", self.process)
        if phase == "commit":
            unblock.enter_context(database_stopped(feeding.manage))
            until(
                lambda: not feeding.fn4.stats()["in_flight"], "the insert is over and can't be recorded", self.process
            )

    def kill(self, who: str, unblock: ExitStack) -> None:
        """Ends it as a crash does, and starts it again."""
        feeding = self.feeding
        if who == "loader":
            self.process.kill()
            self.process.communicate()
            self.process = start(feeding)
        elif who == "server":
            start_again(feeding.fn4)
        elif who == "store":
            start_again(feeding.oci)
            # Its buckets are empty now. What is not in the server yet is put again.
            for sample in set(feeding.sent) - set(feeding.fn4.guids()):
                feeding.put(f"{sample}.fasta", fasta(sample, feeding.sent[sample]))
        else:
            if not POSTGRES:
                unblock.close()
            strike(feeding.manage, "loader_server")

    def stop(self, who: str, unblock: ExitStack) -> None:
        """Stops it for a while."""
        if who == "database":
            with unblock.pop_all() or database_stopped(self.feeding.manage):
                time.sleep(STOPPED)
            return
        pids = {"loader": self.process.pid, "server": self.feeding.fn4.pid, "store": self.feeding.oci.pid}
        pid = pids[who]
        os.kill(pid, signal.SIGSTOP)
        unblock.close()
        time.sleep(STOPPED)
        os.kill(pid, signal.SIGCONT)


def start(feeding: Feeding) -> subprocess.Popen[str]:
    return feeding.start("--interval", "0.1")


def start_again(sandbox: Sandbox) -> None:
    sandbox.kill()
    time.sleep(0.2)
    sandbox.start()


@contextmanager
def database_stopped(manage: Manage) -> Iterator[None]:
    """Whoever writes must wait: to a client that is what a database that was stopped looks like."""
    url = manage.environment["DATABASE_URL"]
    if POSTGRES:
        # It ends with all other connections when the database is struck.
        with suppress(psycopg.OperationalError), psycopg.connect(url) as connection:
            connection.execute("LOCK TABLE fn4loadattempt, loader_bucketobject, loader_server IN EXCLUSIVE MODE")
            yield
        return
    lite = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=20)
    lite.execute("BEGIN IMMEDIATE")
    yield
    lite.close()


@pytest.fixture
def stage(manage: Manage, tmp_path: Path) -> Iterator[Stage]:
    """It has begun: one sample is in."""
    with OciSandbox("queue") as oci, Fn4Sandbox(LENGTH, store=str(tmp_path / "samples")) as fn4:
        manage.environment |= oci.environ() | {"FN4_INSERT_DEADLINE": "1", "STORE_READ_TIMEOUT": "1"}
        feeding = Feeding(manage, oci, "queue", fn4)
        feeding.put_samples("first")
        stage = Stage(feeding, start(feeding))
        until(lambda: feeding.objects("state") == [("loaded",)], "it has begun", stage.process)
        yield stage
        stage.process.kill()
        stage.process.communicate()


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_struck_in_the_middle_of_every_phase_nothing_is_lost_doubled_or_left_open(
    stage: Stage, who: str, how: str
) -> None:
    feeding = stage.feeding

    def all_are_in() -> bool:
        # What waits for its next try has waited long enough.
        feeding.manage.rows("UPDATE loader_bucketobject SET not_before = NULL WHERE state = 'waiting' RETURNING 1")
        return set(feeding.fn4.guids()) == set(feeding.sent) and not feeding.attempts("1", "outcome = 'open'")

    for phase in PHASES:
        with ExitStack() as unblock:
            stage.reach(phase, unblock)
            strike = stage.stop if how == "stopped" else stage.kill
            strike(who, unblock)
        feeding.oci.clear_faults()
        until(all_are_in, f"all samples are in after the {who} was {how} in {phase}", stage.process)
    feeding.fn4.insert_seconds(0)
    status, said = stop(stage.process)
    assert (status, "Traceback" in said) == (0, False), said
    feeding.assert_every_sample_is_in_once()
    assert feeding.fn4.stats()["most_in_flight"] <= 1
    assert {state for (state,) in feeding.objects("state")} <= {"loaded", "gone"}
