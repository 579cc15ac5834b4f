"""A server that answers questions and refuses every insert: no sample spends a try, and loading resumes when it recovers."""

from __future__ import annotations

import pytest

from loader.choices import CircuitKind
from loader.coordination.engine_question import seconds_until_asked
from loader.models import BucketObject, LoadAttempt
from loader.runners.daemon import finish_pass
from tests.support.feeding import Feeding
from tests.support.passes import Passes
from tests.support.waiting import stop, until

SAMPLES = [f"s{number}" for number in range(6)]


def assert_nothing_was_spent(passes: Passes) -> None:
    assert set(passes.objects("state", "tries", "not_before")) == {("waiting", 0, None)}


def test_an_engine_that_is_down_costs_no_try_and_everything_follows_its_recovery(passes: Passes) -> None:
    passes.turn()
    passes.put(*SAMPLES)
    passes.fn4.engine_down()
    result = passes.turn()
    assert "its engine is down, or its database can't be written" in result.trouble
    assert (passes.fn4.requests("POST"), result.postponed) == (3, 0)
    assert_nothing_was_spent(passes)
    assert passes.server.circuit_kind == CircuitKind.REFUSES
    assert "refuses every insert" in passes.concerns()["server_refuses"]
    assert "server_away" not in passes.concerns()

    passes.a_minute_later()
    asked = passes.fn4.requests("GET", "/api/v2/server_memory_usage")
    for _ in range(4):
        assert passes.turn().trouble
    assert passes.fn4.requests("GET", "/api/v2/server_memory_usage") == asked + 1, "once a minute, whoever asks"
    assert passes.fn4.requests("POST") == 3, "nothing is sent while the server says that it does not work"

    passes.fn4.engine_down(down=False)
    passes.a_minute_later()
    result = passes.turn()
    assert (result.trouble, result.inserted) == ("", 6), "with all that had met the outage"
    assert (passes.server.circuit_kind, passes.server.circuit_open_since) == ("", None)
    assert "server_refuses" not in passes.concerns()
    assert {tries for (tries,) in passes.objects("tries")} == {0}


def test_a_database_that_is_read_only_while_the_engine_is_well_gets_one_sample_a_minute(passes: Passes) -> None:
    passes.put(*SAMPLES)
    passes.fn4.read_only()
    passes.turn()
    assert passes.fn4.requests("POST") == 3
    for number in range(4, 8):
        passes.a_minute_later()
        for _ in range(3):
            assert "refuses every insert" in passes.turn().trouble
        assert passes.fn4.requests("POST") == number
    passes.fn4.read_only(on=False)
    passes.a_minute_later()
    assert not passes.turn().trouble
    passes.turn()
    assert set(passes.objects("state", "tries")) == {("loaded", 0)}


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_that_can_not_tell_about_itself_gets_one_sample_a_minute(passes: Passes, status: int) -> None:
    passes.fn4.faults({"kind": "status", "status": status, "path": "server_memory_usage"})
    passes.put(*SAMPLES)
    passes.fn4.engine_down()
    passes.turn()
    assert passes.fn4.requests("POST") == 3
    passes.a_minute_later()
    passes.turn()
    passes.turn()
    assert passes.fn4.requests("POST") == 4
    passes.fn4.engine_down(down=False)
    passes.a_minute_later()
    assert not passes.turn().trouble
    passes.turn()
    assert set(passes.objects("state", "tries")) == {("loaded", 0)}


def test_failures_of_different_samples_count_from_pass_to_pass_and_a_sample_counts_once(passes: Passes) -> None:
    passes.fn4.engine_down()
    for sample in ("a", "b"):
        passes.put(sample)
        assert passes.turn().postponed == 1
        BucketObject.objects.update(not_before=None)
        assert not passes.turn().trouble, "the same sample again"
    passes.put("c")
    assert passes.turn(in_job=True).trouble
    assert passes.server.circuit_kind == CircuitKind.REFUSES
    assert_nothing_was_spent(passes)


def test_samples_that_fail_by_themselves_do_not_hold_up_the_others(passes: Passes) -> None:
    passes.put("bad1", "bad2", "bad3", "good1", "good2")
    passes.fn4.faults({"kind": "status", "status": 500, "method": "POST", "name_prefix": "bad"})
    passes.turn()
    assert passes.server.circuit_kind == CircuitKind.REFUSES
    for _ in range(8):
        passes.a_minute_later()
        passes.turn()
    assert passes.fn4.guids() == ["good1", "good2"]
    assert not passes.server.circuit_kind
    BucketObject.objects.update(not_before=None)
    assert not passes.turn().trouble, "they are known, and open no circuit again"
    assert {tries for name, tries in passes.objects("name", "tries") if name.startswith("bad")} != {0}


def test_refusals_for_the_sequence_are_none_of_the_engine(passes: Passes) -> None:
    passes.fn4.faults({"kind": "status", "status": 404, "path": "server_memory_usage"})
    passes.put(*SAMPLES, letters="ACGT")
    result = passes.turn()
    assert (result.trouble, result.rejected) == ("", 6)
    assert not passes.server.circuit_kind


def test_a_server_that_goes_away_meanwhile_is_away(passes: Passes) -> None:
    passes.put(*SAMPLES)
    passes.fn4.engine_down()
    passes.turn()
    since = passes.server.circuit_open_since
    passes.fn4.database_down()
    passes.turn(in_job=True)
    assert (passes.server.circuit_kind, passes.server.circuit_open_since) == (CircuitKind.AWAY, since)
    assert "server_away" in passes.concerns()
    passes.fn4.database_down(down=False)
    passes.fn4.engine_down(down=False)
    assert passes.turn().inserted == 6
    assert not passes.server.circuit_open_since


def test_the_next_pass_comes_when_the_server_may_be_asked(passes: Passes) -> None:
    passes.turn()
    passes.put(*SAMPLES)
    passes.fn4.engine_down()
    result = passes.turn()
    passes.a_minute_later()
    assert seconds_until_asked(passes.server, "default") == 0
    assert finish_pass(passes.feed, result, 180.0, "default") < 1
    passes.turn()
    assert finish_pass(passes.feed, result, 180.0, "default") == 15
    messages = LoadAttempt.objects.filter(outcome="failed").values_list("message", flat=True)
    assert ["no try was spent" in (message or "") for message in messages] == [True] * 3


def test_a_daemon_waits_for_the_engine_and_goes_on_by_itself(feeding: Feeding) -> None:
    feeding.put_samples(*SAMPLES)
    feeding.fn4.engine_down()
    process = feeding.start("--interval", "0.2")
    refuses = "SELECT circuit_reason FROM loader_server WHERE circuit_kind = 'refuses'"
    until(lambda: feeding.manage.rows(refuses), "the circuit is open", process)
    assert {tries for (tries,) in feeding.objects("tries")} == {0}
    assert "refuses every insert" in feeding.manage("fnstatus").stdout
    feeding.fn4.engine_down(down=False)

    def all_in() -> bool:
        feeding.manage.rows("UPDATE loader_server SET asked_at = NULL RETURNING 1")
        return bool(feeding.fn4.stats()["samples"] == len(SAMPLES))

    until(all_in, "all samples are in", process)
    status, said = stop(process)
    assert (status, "Traceback" in said) == (0, False), said
    feeding.assert_every_sample_is_in_once()
    assert feeding.attempts("1", "outcome = 'open'") == []
