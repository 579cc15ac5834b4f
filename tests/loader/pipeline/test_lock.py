"""The lock of inserts: one that the server's lock manager frees postpones nobody, one that is stuck is an error."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from loader.choices import CircuitKind
from loader.fn4.insert import LOCK_WAIT
from loader.models import Server
from loader.pipeline import circuit
from tests.support.passes import Passes

SAMPLES = ["s1", "s2", "s3"]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds instead of minutes, in the same proportions."""
    monkeypatch.setattr(circuit, "LOCK_WAIT", 2.0)
    monkeypatch.setattr(circuit, "LOCK_NOTED_SECONDS", 0.3)
    monkeypatch.setattr(circuit, "LOCK_PROBE_SECONDS", 0.2)


def hold_for(seconds: float) -> None:
    """As if the lock had been held for so long."""
    Server.objects.update(circuit_open_since=Now() - timedelta(seconds=seconds))


def test_a_lock_that_the_lock_manager_frees_postpones_nobody(passes: Passes) -> None:
    passes.put(*SAMPLES)
    passes.fn4.lock_manager(seconds=1.0)
    passes.fn4.stuck_lock()
    result = passes.turn()
    assert (result.trouble, result.inserted, result.postponed) == ("", 3, 0)
    assert not passes.server.circuit_open_since
    assert "lock_stuck" not in passes.concerns()
    assert [outcome for _, outcome, _ in passes.outcomes()] == ["inserted"] * 3, "it waited within one attempt"


def test_a_lock_that_stays_is_an_error_with_its_way_out(passes: Passes) -> None:
    passes.put(*SAMPLES)
    passes.fn4.lock_manager(on=False)
    passes.fn4.stuck_lock()
    result = passes.turn()
    assert "409" in result.trouble
    assert passes.server.circuit_kind == CircuitKind.LOCKED
    assert set(passes.objects("state", "tries", "not_before")) == {("waiting", 0, None)}
    assert "lock_stuck" not in passes.concerns(), "a lock manager may still free it"
    hold_for(LOCK_WAIT + 1)
    assert "--drop_locks" in passes.concerns()["lock_stuck"]
    assert "server_away" not in passes.concerns()
    since, sent = passes.server.circuit_open_since, passes.fn4.requests("POST")
    assert passes.turn().trouble
    assert passes.server.circuit_open_since == since, "it is the same lock"
    assert passes.fn4.requests("POST") - sent < sent, "one sample shows whether it is still held"

    passes.fn4.stuck_lock(on=False)
    assert passes.turn().inserted == 3
    assert not passes.server.circuit_open_since
    assert "lock_stuck" not in passes.concerns()


def test_a_job_does_not_wait_and_the_server_knows_since_when(passes: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "LOCK_WAIT", 3600.0)
    passes.put(*SAMPLES)
    passes.fn4.lock_manager(on=False)
    passes.fn4.stuck_lock()
    assert passes.turn(in_job=True).trouble
    hold_for(LOCK_WAIT + 1)
    since = passes.server.circuit_open_since
    assert passes.turn(in_job=True).trouble
    assert passes.server.circuit_open_since == since
    assert "lock_stuck" in passes.concerns()
    assert set(passes.objects("state", "tries", "not_before")) == {("waiting", 0, None)}
    passes.fn4.stuck_lock(on=False)
    assert passes.turn(in_job=True).inserted == 3
    assert not passes.server.circuit_open_since


def test_a_loader_that_is_told_to_stop_waits_no_longer(passes: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "LOCK_WAIT", 3600.0)
    passes.put(*SAMPLES)
    passes.fn4.stuck_lock()
    passes.stop = lambda: passes.fn4.stats()["conflicts"] >= 2
    result = passes.turn()
    assert (result.stopped, result.inserted) == (True, 0)
    outcome, *of_those_read_by_then = [outcome for _, outcome, _ in passes.outcomes()]
    assert outcome == "failed"
    assert set(of_those_read_by_then) <= {"not_sent"}
    assert set(passes.objects("state", "tries", "not_before")) == {("waiting", 0, None)}


def test_a_lock_that_nothing_waits_for_is_no_error(passes: Passes) -> None:
    passes.put("s1")
    passes.fn4.lock_manager(on=False)
    passes.fn4.stuck_lock()
    passes.turn()
    hold_for(LOCK_WAIT + 1)
    passes.remove("s1")
    passes.turn()
    assert "lock_stuck" not in passes.concerns()
