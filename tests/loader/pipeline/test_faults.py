"""fnload when the server, the store or a proxy does not behave: nothing lost, nothing doubled, nothing claimed."""

from __future__ import annotations

import json
import signal

import pytest

from sandbox.genomes import fasta, mutant
from tests.support.feeding import REFERENCE, Feeding
from tests.support.waiting import stop, until


def test_an_answer_that_was_lost_is_found_out_by_asking(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    feeding.fn4.faults({"kind": "reset", "method": "POST", "when": "after", "times": 1})
    told = feeding.load("--json")
    assert told.returncode == 0, told.stderr
    assert feeding.attempts("seqid, outcome, completed, insert_status_code, insert_end_time IS NULL") == [
        ("s1", "found", 1, None, True),
        ("s2", "inserted", 1, 200, False),
    ]
    assert feeding.objects() == [("s1.fasta", "loaded", "found"), ("s2.fasta", "loaded", "inserted")]
    feeding.assert_every_sample_is_in_once()


@pytest.mark.parametrize(
    "fault", [{"kind": "reset"}, {"kind": "status", "status": 502}, {"kind": "status", "status": 504}]
)
def test_after_an_unclear_end_nothing_is_sent_before_the_deadline(feeding: Feeding, fault: dict[str, object]) -> None:
    feeding.put_samples("s1", "s2")
    feeding.fn4.faults({"method": "POST", "when": "before", "times": 1, **fault})
    told = feeding.load("--json")
    assert told.returncode == 10
    assert json.loads(told.stdout)["postponed"] == 1
    first, second = feeding.fn4.log("POST")
    assert second["started"] - first["started"] >= 2.0, "FN4_INSERT_DEADLINE is 2 s in these tests"
    assert feeding.attempts("seqid, outcome, completed") == [("s1", "failed", 0), ("s2", "inserted", 1)]
    (tries, later), _ = feeding.objects("tries, not_before IS NOT NULL")
    assert (tries, bool(later)) == (1, True)


def test_an_insert_that_goes_on_behind_a_lost_answer_is_waited_for(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    feeding.fn4.insert_seconds(1.0)
    feeding.fn4.faults({"kind": "status", "status": 504, "method": "POST", "when": "during", "times": 1})
    assert feeding.load().returncode == 0
    assert feeding.attempts("seqid, outcome, insert_status_code") == [("s1", "found", 504), ("s2", "inserted", 200)]
    assert feeding.fn4.stats()["conflicts"] == 0, "the second insert waited for the first"
    feeding.assert_every_sample_is_in_once()


def test_a_server_that_stores_and_says_503_has_the_sample(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    feeding.fn4.faults({"kind": "status", "status": 503, "method": "POST", "when": "after", "times": 1})
    assert feeding.load().returncode == 0
    assert feeding.attempts("outcome, insert_status_code") == [("found", 503)]


def test_a_server_that_fails_one_sample_gets_it_again_later_and_the_others_now(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2", "s3")
    feeding.fn4.faults({"kind": "status", "status": 500, "method": "POST", "times": 1})
    assert feeding.load().returncode == 10
    assert feeding.attempts("seqid, outcome, insert_status_code, completed") == [
        ("s1", "failed", 500, 0),
        ("s2", "inserted", 200, 1),
        ("s3", "inserted", 200, 1),
    ]
    assert feeding.load().returncode == 0, "it is not due yet"
    feeding.manage.rows(
        "UPDATE loader_bucketobject SET not_before = '2020-01-01 00:00:00+00' WHERE tries = 1 RETURNING 1"
    )
    assert feeding.load().returncode == 0
    feeding.assert_every_sample_is_in_once()


def test_a_lock_is_waited_for_in_the_same_attempt(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    feeding.fn4.set(stale_lock=60.0)
    process = feeding.start("--once")
    until(lambda: feeding.fn4.stats()["conflicts"], "the lock is met", process)
    feeding.fn4.set(stale_lock=0)
    assert process.wait(60) == 0
    process.communicate()
    (waits,), (none,) = feeding.attempts("lock_waits")
    assert (waits >= 1, none) == (True, None)
    feeding.assert_every_sample_is_in_once()


def test_a_server_that_goes_away_spends_no_try_and_opens_its_circuit(feeding: Feeding) -> None:
    feeding.put_samples(*[f"s{number}" for number in range(5)])
    feeding.fn4.insert_seconds(0.3)
    process = feeding.start("--interval", "0.2")
    until(lambda: feeding.fn4.stats()["samples"] >= 1, "the first sample is in", process)
    feeding.fn4.database_down()
    away = "SELECT circuit_reason FROM loader_server WHERE circuit_open_since IS NOT NULL"
    until(lambda: feeding.manage.rows(away), "the circuit is open", process)
    assert {tries for (tries,) in feeding.objects("tries")} == {0}
    feeding.fn4.database_down(down=False)

    def all_in() -> bool:
        # The sample that met it first would wait half a minute.
        feeding.manage.rows("UPDATE loader_bucketobject SET not_before = NULL WHERE not_before IS NOT NULL RETURNING 1")
        return bool(feeding.fn4.stats()["samples"] == 5)

    until(all_in, "all samples are in", process)
    until(lambda: not feeding.manage.rows(away), "the circuit is closed", process)
    status, said = stop(process)
    assert status == 0, said
    assert "Traceback" not in said
    feeding.assert_every_sample_is_in_once()
    assert feeding.attempts("1", "outcome = 'open'") == []


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "page"},
        {"kind": "redirect"},
        {"kind": "status", "status": 413},
        {"kind": "status", "status": 401},
        {"kind": "status", "status": 501},
    ],
)
def test_a_proxy_or_setting_that_is_wrong_rejects_nothing_and_is_said(
    feeding: Feeding, fault: dict[str, object]
) -> None:
    feeding.put_samples("s1", "s2")
    feeding.fn4.faults({"method": "POST", **fault})
    result = feeding.load()
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
    assert "answered an insert with" in result.stderr
    assert feeding.objects("state, tries") == [("waiting", 0)] * 2
    assert len(feeding.fn4.log("POST")) == 1
    feeding.fn4.clear_faults()
    assert feeding.load().returncode == 0
    feeding.assert_every_sample_is_in_once()


def test_a_daemon_pauses_its_feed_for_a_wrong_proxy_and_goes_on_when_it_is_resumed(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    process = feeding.start("--interval", "0.2")
    until(lambda: feeding.fn4.guids() == ["s1"], "it runs", process)
    feeding.fn4.faults({"method": "POST", "kind": "status", "status": 413})
    feeding.put_samples("s2")
    until(
        lambda: feeding.manage.rows("SELECT 1 FROM loader_feed WHERE pause_reason LIKE '%%413%%'"),
        "it is paused",
        process,
    )
    feeding.fn4.clear_faults()
    feeding.manage.rows("UPDATE loader_feed SET paused_at = NULL, pause_reason = '' RETURNING 1")
    until(lambda: len(feeding.fn4.guids()) == 2, "it goes on", process)
    assert stop(process)[0] == 0


def test_files_that_arrive_damaged_are_read_again_and_rejected_in_the_end(feeding: Feeding) -> None:
    feeding.put_samples("once", "ever")
    feeding.oci.faults(
        {"kind": "corrupt", "name_prefix": "once", "times": 1},
        {"kind": "corrupt", "name_prefix": "ever"},
    )
    assert feeding.load().returncode == 10
    assert feeding.fn4.guids() == ["once"]
    for _ in range(2):
        feeding.manage.rows("UPDATE loader_bucketobject SET not_before = NULL RETURNING 1")
        assert feeding.load().returncode == 10
    assert feeding.objects("name, state") == [("ever.fasta", "rejected"), ("once.fasta", "loaded")]
    assert "MD5" in feeding.attempts("message", "completed = 1 AND outcome = 'rejected'")[0][0]


def test_archived_files_wait_and_do_not_stop_the_others(feeding: Feeding) -> None:
    for number in range(4):
        feeding.put(f"a{number}.fasta", fasta(f"a{number}", "ACGT"), archived=True, created="2025-01-01T00:00:00.000Z")
    feeding.put_samples("s1")
    assert feeding.load().returncode == 10
    feeding.assert_every_sample_is_in_once()
    assert "archived" in feeding.attempts("message", "seqid = 'a0'")[0][0]
    assert {tries for (tries,) in feeding.objects("tries")} == {0, 1}


def test_a_truncated_download_is_noticed(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    feeding.oci.faults({"kind": "truncate", "name_prefix": "s1", "times": 1})
    assert feeding.load().returncode == 0
    feeding.assert_every_sample_is_in_once()


def test_a_listing_that_breaks_off_loads_nothing_wrong_and_ends_with_1(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    feeding.oci.faults({"kind": "status", "status": 500, "path": "/o?"})
    result = feeding.load()
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
    assert feeding.manage.rows("SELECT count(*) FROM fn4batchload") == [(0,)], "what was not listed was not analysed"


def test_an_object_that_goes_between_listing_and_read_is_gone_and_found_when_it_is_back(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    feeding.oci.faults({"kind": "status", "status": 404, "code": "ObjectNotFound", "name_prefix": "s1", "times": 1})
    feeding.load()
    assert feeding.objects("name, state") == [("s1.fasta", "gone"), ("s2.fasta", "loaded")]
    assert feeding.load().returncode == 0
    feeding.assert_every_sample_is_in_once()


def test_an_object_that_is_replaced_between_listing_and_read_is_loaded_as_its_new_version(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    feeding.oci.set(read_delay=2.0)
    process = feeding.start("--once")
    until(feeding.objects, "the bucket is listed", process)
    new = mutant(REFERENCE, 77)
    feeding.put("s1.fasta", fasta("s1", new))
    process.communicate(timeout=60)
    feeding.oci.set(read_delay=0.0)
    assert feeding.objects("state") == [("gone",)], "the version that was listed is not there any more"
    assert feeding.load().returncode == 0
    feeding.sent["s1"] = new
    feeding.assert_every_sample_is_in_once()
    assert sorted(state for (state,) in feeding.objects("state")) == ["gone", "loaded"]


def test_a_file_that_is_too_large_is_rejected_unread(feeding: Feeding) -> None:
    feeding.load()
    feeding.manage.rows("UPDATE loader_feed SET largest = 1000 RETURNING 1")
    feeding.put("big.fasta", fasta("big", "ACGT" * 1000))
    assert feeding.load().returncode == 10
    assert "the limit is 1,000" in feeding.attempts("message")[0][0]
    assert feeding.oci.log("GET", feeding.oci.object_path(feeding.bucket) + "/") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_and_records_the_insert_in_flight(feeding: Feeding, number: int) -> None:
    feeding.put_samples(*[f"s{one}" for one in range(6)])
    feeding.fn4.insert_seconds(0.4)
    process = feeding.start()
    until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", process)
    status, said = stop(process, number)
    assert status == 0, said
    ended: dict[str, int] = dict(feeding.manage.rows("SELECT outcome, count(*) FROM fn4loadattempt GROUP BY outcome"))
    assert ended.get("inserted") == len(feeding.fn4.guids()) >= 1
    assert "open" not in ended
    assert feeding.manage.rows("SELECT lease_token FROM loader_server") == [("",)]
    feeding.fn4.insert_seconds(0)
    assert feeding.load().returncode == 0
    feeding.assert_every_sample_is_in_once()


def test_a_pass_that_is_interrupted_exits_130_or_143(feeding: Feeding) -> None:
    feeding.put_samples(*[f"s{one}" for one in range(6)])
    feeding.fn4.insert_seconds(0.4)
    for number, expected in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = feeding.start("--once")
        until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", process)
        assert stop(process, number)[0] == expected


def test_basic_auth_and_a_path_before_the_server_work(feeding: Feeding) -> None:
    from sandbox.clients import Fn4Sandbox

    feeding.put_samples("s1")
    with Fn4Sandbox(len(REFERENCE), auth="me:very-hidden", prefix="/tb") as behind:
        feeding.fn4 = behind
        refused = feeding.load()
        assert (refused.returncode, "FN4_AUTH" in refused.stderr) == (1, True)
        result = feeding.load(FN4_AUTH="me:very-hidden")
        assert result.returncode == 0, result.stderr
        assert "very-hidden" not in result.stdout + result.stderr
        feeding.assert_every_sample_is_in_once()


def test_two_samples_of_one_id_are_never_both_claimed(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    feeding.put("copy/s1.fasta", fasta("s1", mutant(REFERENCE, 77)))
    assert feeding.load().returncode == 0
    results = sorted(result for _, _, result in feeding.objects())
    assert results == ["conflicting", "inserted"]


def test_what_leaves_the_bucket_while_it_waits_is_gone(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    feeding.fn4.faults({"kind": "status", "status": 500, "method": "POST", "name_prefix": "s1"})
    assert feeding.load().returncode == 10
    feeding.oci.delete(feeding.bucket, "s1.fasta")
    assert feeding.load().returncode == 0
    assert feeding.objects("name, state") == [("s1.fasta", "gone"), ("s2.fasta", "loaded")]
