"""`feed reconcile --sequences`: each file's sequence against what the server holds, in a pace, continued after a stop."""

from __future__ import annotations

import json
import signal

import pytest

from sandbox.genomes import fasta, mutant
from tests.support.feeding import REFERENCE, Feeding
from tests.support.waiting import until


def compare(feeding: Feeding, *options: str) -> tuple[int, list[dict[str, str]], dict[str, object]]:
    """Its status, its differences, and its last line."""
    told = feeding.manage("feed", "reconcile", feeding.bucket, "--sequences", "--json", *options)
    *differences, summary = [json.loads(line) for line in told.stdout.splitlines()]
    return told.returncode, differences, summary


def test_what_differs_is_listed_and_the_ledger_corrected(feeding: Feeding) -> None:
    feeding.put_samples("a", "b", "c", "d")
    feeding.load()
    # The server was set up anew by somebody else, from other files.
    feeding.fn4.emptied()
    feeding.fn4.insert("a", feeding.sent["a"])
    feeding.fn4.insert("b", mutant(REFERENCE, 77))
    feeding.fn4.insert("c", feeding.sent["c"])
    feeding.manage.rows(
        "UPDATE loader_bucketobject SET result = 'present', seq_digest = '' WHERE seqid = 'c' RETURNING 1"
    )
    feeding.put("broken.fasta", b"no record")
    feeding.fn4.insert("broken", REFERENCE)

    status, differences, summary = compare(feeding, "--dry-run")
    assert (status, summary) == (
        10,
        {"counts": {"same": 2, "sequence_differs": 1, "not_compared": 1}, "corrected": 2},
    )
    assert {(one["kind"], one["guid"]) for one in differences} == {
        ("sequence_differs", "b"),
        ("not_compared", "broken"),
    }
    results = "SELECT seqid, result, seq_digest <> '' FROM loader_bucketobject ORDER BY seqid"
    assert [row[1] for row in feeding.manage.rows(results)] == ["inserted", "inserted", "present", "inserted"]

    assert compare(feeding)[2]["corrected"] == 2
    assert [tuple(row) for row in feeding.manage.rows(results)] == [
        ("a", "inserted", True),
        ("b", "conflicting", True),
        ("c", "same", True),
        ("d", "inserted", True),
    ]
    assert compare(feeding)[2]["corrected"] == 0
    feeding.fn4.forget("b")
    feeding.fn4.insert("b", feeding.sent["b"])
    assert compare(feeding)[2]["corrected"] == 1


def test_samples_of_older_tables_are_compared_too(feeding: Feeding) -> None:
    feeding.put_samples("old")
    feeding.fn4.insert("old", feeding.sent["old"])
    feeding.manage.rows(
        "INSERT INTO fn4loadattempt (findneighbour_server_url, file_name, seqid, fn4id, insert_status_code, completed) "
        f"VALUES ('{feeding.fn4.url}', 'old.fasta', 'GPAS_SP3|old', 'old', 201, 0) RETURNING 1"
    )
    feeding.load()
    assert feeding.objects("result") == [("present",)]
    assert feeding.fn4.requests("POST") == 0
    assert compare(feeding)[0] == 0
    assert feeding.objects("result") == [("same",)]


def test_a_server_without_digests_leaves_all_not_compared(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    feeding.load()
    feeding.fn4.faults({"kind": "status", "status": 405, "path": "/annotation"})
    status, (difference,), summary = compare(feeding)
    assert (status, difference["kind"], difference["note"]) == (10, "not_compared", "the server gives no digest")
    assert summary["corrected"] == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_says_how_to_continue_and_does(feeding: Feeding, number: signal.Signals, status: int) -> None:
    feeding.put_samples(*[f"s{number:02}" for number in range(12)])
    feeding.load()
    feeding.fn4.clear_log()
    words = ("feed", "reconcile", feeding.bucket, "--sequences")
    process = feeding.manage.start(*words, "--pace", "4")
    until(lambda: feeding.fn4.requests("GET", "/api/v2/s04") > 0, "it has begun", process)
    process.send_signal(number)
    out, said = process.communicate(timeout=30)
    assert process.returncode == status, said
    (line,) = [line for line in (out + said).splitlines() if line.startswith("Continue with: manage.py ")]
    rest = line.partition("manage.py ")[2].split()
    assert rest[:-1] == [*words, "--after"]
    feeding.fn4.clear_log()
    assert feeding.manage(*rest, "--pace", "1000").returncode == 0
    asked = [request["name"] for request in feeding.fn4.log("GET")]
    assert asked == [f"s{one:02}" for one in range(12) if f"s{one:02}.fasta" > rest[-1]]
    assert 0 < len(asked) < 12


def test_it_keeps_its_pace(feeding: Feeding) -> None:
    feeding.put_samples(*[f"s{number}" for number in range(6)])
    feeding.load()
    feeding.fn4.clear_log()
    compare(feeding, "--pace", "5")
    asked = [request["started"] for request in feeding.fn4.log("GET")]
    assert asked[-1] - asked[0] >= 0.9


def test_a_server_that_fails_ends_it_with_the_way_on(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    feeding.load()
    feeding.fn4.faults({"kind": "status", "status": 500, "path": "/s2/annotation"})
    told = feeding.manage("feed", "reconcile", feeding.bucket, "--sequences")
    assert (told.returncode, "--after s1.fasta" in told.stderr) == (1, True), told.stderr


def test_options_that_do_not_go_together_are_usage_errors(feeding: Feeding) -> None:
    feeding.put("s1.fasta", fasta("s1", REFERENCE))
    feeding.load()
    for words in (["--sequences", "--repair"], ["--after", "x"], ["--pace", "3"]):
        assert feeding.manage("feed", "reconcile", feeding.bucket, *words).returncode == 2
