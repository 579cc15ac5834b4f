"""Samples that the server stored, and whose links it may not have stored: never called inserted, found or the same.

The server's ceiling is 20; samples with few changes are within it, those with 40 are not.
"""

from __future__ import annotations

import json

from sandbox.genomes import fasta, mutant
from tests.support.feeding import REFERENCE, Feeding
from tests.support.truth import assert_all_is_true, assert_no_links_are_claimed
from tests.support.waiting import until

NEAR, FAR = 3, 40
RESULTS = "seqid, outcome, insert_status_code"


def retry_now(feeding: Feeding) -> None:
    feeding.manage.rows("UPDATE loader_bucketobject SET not_before = NULL WHERE state = 'waiting' RETURNING 1")


def concerns(feeding: Feeding) -> dict[str, str]:
    told = json.loads(feeding.manage("fnstatus", "--json").stdout)["concerns"]
    return {concern["kind"]: concern["what"] for concern in told}


def test_a_503_that_stored_the_row_without_its_links_is_named_until_it_is_acknowledged(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2", changes=NEAR)
    assert feeding.load().returncode == 0
    feeding.put_samples("s3", changes=NEAR)
    feeding.fn4.breaks_links()
    told = feeding.load()
    assert told.returncode == 10, told.stderr
    assert "s3: stored, links unproven: its links are missing: s2 was there before" in told.stdout
    assert "1 stored with unproven links (s3)" in told.stdout
    assert feeding.attempts(RESULTS, "seqid = 's3'") == [("s3", "unproven", 503)]
    assert feeding.objects("name, state, result")[2] == ("s3.fasta", "loaded", "unproven")
    assert_all_is_true(feeding)

    sent = feeding.fn4.requests("POST")
    assert feeding.load().returncode == 0
    assert feeding.fn4.requests("POST") == sent, "it is never sent again"
    assert "1 sample of feed" in concerns(feeding)["links_unproven"]
    reconciled = feeding.manage("feed", "reconcile", feeding.bucket, "--json")
    assert [json.loads(line)["kind"] for line in reconciled.stdout.splitlines()[:-1]] == ["unproven"]
    acknowledged = feeding.manage("feed", "acknowledge", feeding.bucket)
    assert "0 rejected files and 1 sample with unproven links" in acknowledged.stdout
    assert "links_unproven" not in concerns(feeding)


def test_a_lost_answer_is_found_where_its_links_to_earlier_samples_are_stored(feeding: Feeding) -> None:
    feeding.put_samples(*[f"s{number}" for number in range(12)], changes=FAR)
    feeding.put_samples("near", changes=NEAR)
    feeding.load()
    feeding.put_samples("s12", changes=NEAR)
    feeding.fn4.faults({"kind": "reset", "method": "POST", "when": "after", "times": 1})
    told = feeding.load()
    assert told.returncode == 0, told.stdout
    assert feeding.attempts(RESULTS, "seqid = 's12'") == [("s12", "found", None)]
    assert_all_is_true(feeding)


def test_with_no_sample_near_it_stays_unproven_unless_there_is_no_other(feeding: Feeding) -> None:
    for sample in [f"s{number}" for number in range(13)]:
        feeding.put_samples(sample, changes=FAR)
        if sample in ("s0", "s5", "s12"):
            feeding.fn4.faults({"kind": "status", "status": 503, "method": "POST", "when": "after", "times": 1})
        feeding.load()
    ended = dict(feeding.attempts("seqid, outcome"))
    assert (ended["s0"], ended["s5"]) == ("found", "found"), "all others were compared, and none is near"
    assert ended["s12"] == "unproven"
    ((reason,),) = feeding.manage.rows("SELECT reason FROM loader_bucketobject WHERE seqid = 's12'")
    assert reason == "none of 10 earlier samples that were compared is within 20 SNPs"
    assert_no_links_are_claimed(feeding)


def test_links_to_later_samples_prove_nothing(feeding: Feeding) -> None:
    feeding.put_samples("s1", changes=NEAR)
    feeding.load()
    feeding.put_samples("s2", changes=NEAR)
    feeding.fn4.faults({"kind": "status", "status": 502, "method": "POST", "when": "before", "times": 1})
    feeding.load()
    # It came late, after all, and a third one, which is linked to both.
    feeding.fn4.insert("s2", feeding.sent["s2"], links=False)
    feeding.fn4.engine_down()
    feeding.fn4.engine_down(down=False)
    feeding.put_samples("s3", changes=NEAR)
    feeding.load()
    retry_now(feeding)
    assert feeding.load().returncode == 10
    assert feeding.attempts(RESULTS) == [
        ("s1", "inserted", 200),
        ("s2", "failed", 502),
        ("s3", "inserted", 200),
        ("s2", "unproven", 201),
    ]
    assert_no_links_are_claimed(feeding)


def test_a_sample_that_came_late_with_its_links_is_the_same(feeding: Feeding) -> None:
    feeding.put_samples("s1", changes=NEAR)
    feeding.load()
    feeding.put_samples("s2", changes=NEAR)
    feeding.fn4.faults({"kind": "status", "status": 502, "method": "POST", "when": "before", "times": 1})
    feeding.load()
    feeding.fn4.insert("s2", feeding.sent["s2"])
    retry_now(feeding)
    assert feeding.load().returncode == 0
    assert feeding.objects("name, result")[1] == ("s2.fasta", "same")
    assert_no_links_are_claimed(feeding)


def test_a_death_before_the_links_is_waited_for_and_then_missing(feeding: Feeding) -> None:
    feeding.put_samples("s1", changes=NEAR)
    feeding.load()
    feeding.put_samples("s2", changes=NEAR)
    feeding.fn4.dies_before_links()
    told = feeding.load()
    assert (told.returncode, "its links are missing" in told.stdout) == (10, True)
    first, last = feeding.fn4.log("GET", "/api/v2/s2/")[0], feeding.fn4.log("GET", "/api/v2/s2/")[-1]
    assert last["started"] - first["started"] >= 1.5, "FN4_INSERT_DEADLINE is 2 s in these tests"
    assert_all_is_true(feeding)


def test_a_killed_loader_leaves_a_sample_whose_links_are_asked_for(feeding: Feeding) -> None:
    feeding.put_samples("s1", changes=NEAR)
    feeding.load()
    feeding.put_samples("s2", changes=NEAR)
    feeding.fn4.insert_seconds(0.5)
    feeding.fn4.breaks_links()
    process = feeding.start()
    until(lambda: feeding.fn4.stats()["in_flight"], "an insert is in flight", process)
    process.kill()
    process.communicate()
    told = feeding.load()
    assert (told.returncode, "s2: stored, links unproven" in told.stdout) == (10, True), told.stdout
    assert feeding.attempts(RESULTS, "seqid = 's2'")[-1][1] == "unproven"
    assert_all_is_true(feeding)


def test_a_sample_with_too_many_n_has_no_links_to_miss(feeding: Feeding) -> None:
    feeding.put_samples("s1", changes=NEAR)
    feeding.load()
    useless = "N" * 400 + REFERENCE[400:]
    feeding.put("n.fasta", fasta("n", useless), created="2026-02-01T00:00:00.000Z")
    feeding.fn4.breaks_links()
    told = feeding.load()
    assert told.returncode == 0, told.stdout
    assert feeding.attempts(RESULTS, "seqid = 'n'") == [("n", "found", 503)]
    assert feeding.objects("name, result")[0] == ("n.fasta", "invalid")


def test_what_the_server_had_from_others_is_compared_by_its_own_digest(feeding: Feeding) -> None:
    feeding.put_samples("same", "other", "unknown", changes=NEAR)
    feeding.fn4.insert("same", feeding.sent["same"].lower())
    feeding.fn4.insert("other", mutant(REFERENCE, 77))
    feeding.fn4.insert("unknown", feeding.sent["unknown"])
    feeding.fn4.faults({"kind": "status", "status": 404, "path": "/unknown/annotation"})
    told = feeding.load("--json")
    assert told.returncode == 0
    result = json.loads(told.stdout)
    assert (result["already_there"], result["conflicting"], result["unproven"]) == (3, 1, 0)
    assert feeding.objects("seqid, result") == [("other", "conflicting"), ("same", "same"), ("unknown", "present")]
    assert "exact_distance" not in str(feeding.fn4.log("GET")), "links of what others loaded are their business"


def test_a_server_that_is_slow_with_digests_is_asked_once(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2", "s3", changes=NEAR)
    for sample in feeding.sent:
        feeding.fn4.insert(sample, feeding.sent[sample])
    feeding.fn4.faults({"kind": "delay", "seconds": 3.0, "path": "/annotation"})
    assert feeding.load().returncode == 0
    assert [result for (result,) in feeding.objects("result")] == ["present"] * 3
    assert sum("annotation" in request["target"] for request in feeding.fn4.log("GET")) == 1


def test_a_server_that_says_nothing_of_links_leaves_it_unproven(feeding: Feeding) -> None:
    feeding.put_samples("s1", changes=NEAR)
    feeding.load()
    feeding.put_samples("s2", changes=NEAR)
    feeding.fn4.faults(
        {"kind": "status", "status": 503, "method": "POST", "when": "after", "times": 1},
        {"kind": "status", "status": 404, "path": "snpceiling"},
    )
    told = feeding.load()
    assert (told.returncode, "the server could not say" in told.stdout) == (10, True), told.stdout
    assert feeding.attempts(RESULTS, "seqid = 's2'") == [("s2", "unproven", 503)]


def test_the_composition_in_a_503_reaches_no_row_and_no_line(feeding: Feeding) -> None:
    feeding.put_samples("s1", changes=NEAR)
    feeding.fn4.breaks_links()
    told = feeding.load("--json")
    rows = feeding.attempts("message") + feeding.objects("reason")
    assert "[…]" in str(rows)
    for text in (told.stdout, told.stderr, str(rows)):
        assert "'A'" not in text.replace('"', "'")
        assert "[0, " not in text
