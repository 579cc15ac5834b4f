"""fnload --once on a bucket of good and bad files, and what it says to people who call it wrongly."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.genomes import bad_files, fasta, mutant
from tests.support.feeding import REFERENCE, Feeding
from tests.support.site import Manage


def test_every_good_sample_is_in_once_and_every_bad_file_has_its_reason(feeding: Feeding) -> None:
    bad = bad_files(REFERENCE)
    feeding.put_samples(*[f"s{number}" for number in range(30)])
    for name, (content, _) in bad.items():
        feeding.put(name, content)
    feeding.put("readme.txt", b"no sample")

    first = feeding.load("--json")
    assert first.returncode == 10, first.stderr
    told = json.loads(first.stdout)
    assert (told["listed"], told["ignored"], told["due"]) == (30 + len(bad) + 1, 1, 30 + len(bad))
    assert (told["inserted"], told["rejected"], told["postponed"]) == (30, len(bad), 0)
    feeding.assert_every_sample_is_in_once()
    reasons = dict(feeding.attempts("file_name, message", "outcome = 'rejected'"))
    assert "the server's reference has 600" in reasons.pop("truncated.fasta")
    for name, reason in reasons.items():
        assert bad[name][1] in reason
    status = dict(feeding.attempts("file_name, parse_status"))
    assert status["s0.fasta"] == "Success"
    assert status["empty.fasta"] == "Failed, the file is empty"
    assert status["truncated.fasta"] == "Success", "its text is good: it does not fit the server"

    feeding.oci.clear_log()
    again = feeding.load("--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["due"] == 0
    assert [request["name"] for request in feeding.oci.log("GET")] == [""], "a second run lists and downloads nothing"
    assert len(feeding.attempts("1")) == 30 + len(bad)
    assert feeding.manage.rows("SELECT batch_size FROM fn4batchload ORDER BY bl_int_id") == [(30 + len(bad),), (0,)]


def test_samples_are_loaded_earliest_first_and_say_their_place_in_the_batch(feeding: Feeding) -> None:
    feeding.put_samples("z", "m", "a")
    assert feeding.load().returncode == 0
    assert feeding.fn4.guids() == ["z", "m", "a"]
    rows = feeding.attempts("seqid, batch_sample_number, batch_size, len_seq, insert_status_code, completed, host_name")
    assert rows == [(name, place, 3, 600, 200, 1, "test-host") for place, name in enumerate("zma", 1)]
    times = feeding.attempts("bucket_read_start_time, bucket_read_end_time, insert_start_time, insert_end_time")
    assert all(list(row) == sorted(row) for row in times)


def test_the_servers_samples_are_counted_when_something_was_loaded(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    for _ in range(3):
        feeding.load()
    assert feeding.manage.rows("SELECT number_in_server FROM fn4batchload ORDER BY bl_int_id") == [(0,), (2,), (None,)]


def test_an_id_that_the_server_holds_is_done_and_said_so(feeding: Feeding) -> None:
    feeding.put_samples("before")
    feeding.fn4.insert("before", mutant(REFERENCE, 99))
    told = feeding.load("--json")
    assert told.returncode == 0
    assert (json.loads(told.stdout)["already_there"], json.loads(told.stdout)["conflicting"]) == (1, 1)
    assert feeding.objects() == [("before.fasta", "loaded", "conflicting")], "the server's own digest says so"
    assert feeding.attempts("insert_status_code, completed, outcome") == [(201, 1, "present")]


def test_a_new_version_of_a_loaded_file_is_a_new_object_and_conflicts(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    feeding.load()
    feeding.put("s1.fasta", fasta("s1", mutant(REFERENCE, 55)))
    feeding.put("again/s1.fasta", fasta("s1", feeding.sent["s1"]))
    result = feeding.load()
    assert result.returncode == 0
    assert "another sequence" in result.stdout
    states = feeding.objects("name, state, result")
    assert sorted(states) == [
        ("again/s1.fasta", "loaded", "same"),
        ("s1.fasta", "loaded", "conflicting"),
        ("s1.fasta", "loaded", "inserted"),
    ]
    feeding.assert_every_sample_is_in_once()


def test_a_file_that_changed_after_it_was_rejected_is_tried(feeding: Feeding) -> None:
    feeding.put("s1.fasta", b"")
    assert feeding.load().returncode == 10
    feeding.put_samples("s1")
    assert feeding.load().returncode == 0
    feeding.assert_every_sample_is_in_once()


def test_a_store_url_does_as_well_as_namespace_and_bucket(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    result = feeding.manage("fnload", feeding.fn4.url, feeding.oci.url(feeding.bucket), "--once")
    assert result.returncode == 0, result.stderr
    assert feeding.load().returncode == 0
    assert feeding.manage.rows("SELECT count(*) FROM loader_feed") == [(1,)], "both name the same feed"


def test_all_tables_of_a_run_are_in_the_database_that_is_named(feeding: Feeding, tmp_path: Path) -> None:
    feeding.put_samples("s1")
    other = Manage({"DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite3"})
    feeding.manage.environment["DATABASE_URL_UNITTEST_ORACLE"] = other.environment["DATABASE_URL"]
    result = feeding.load("--database", "unittest_oracle")
    assert result.returncode == 1
    assert "migrate" in result.stderr
    assert feeding.manage("migrate", "-v0", "--database", "unittest_oracle").returncode == 0
    result = feeding.manage(
        "fnload", feeding.fn4.url, feeding.oci.namespace, feeding.bucket, "unittest_oracle", "--once"
    )
    assert result.returncode == 0, result.stderr
    tables = ("loader_feed", "loader_server", "loader_bucketobject", "fn4batchload", "fn4loadattempt")
    assert [other.rows(f"SELECT count(*) FROM {table}") for table in tables] == [[(1,)]] * 5
    assert [feeding.manage.rows(f"SELECT count(*) FROM {table}") for table in tables] == [[(0,)]] * 5


def test_wrong_calls_say_what_is_allowed_and_end_with_2(feeding: Feeding) -> None:
    cases = {
        ("fnload",): "SERVER_URL",
        ("fnload", feeding.fn4.url, "lxxxx"): "NAMESPACE BUCKET",
        ("fnload", "localhost:5025", "lxxxx", "b"): "http://localhost:5025",
        ("fnload", feeding.fn4.url, "lxxxx", "b", "nowhere"): "DATABASE_URL_NOWHERE",
        ("fnload", feeding.fn4.url, "lxxxx", "b", "--interval", "-1"): "0 or more",
    }
    for words, expected in cases.items():
        result = feeding.manage(*words)
        assert (result.returncode, expected in result.stderr) == (2, True), (words, result.stderr)
        assert "Traceback" not in result.stderr


def test_what_is_not_to_be_had_ends_with_1_and_is_named(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    wrong_key = {"OCI_CONFIG_FILE": "/nowhere/config"}
    no_bucket = feeding.manage("fnload", feeding.fn4.url, feeding.oci.namespace, "no-such-bucket", "--once")
    no_server = feeding.manage("fnload", "http://127.0.0.1:1", feeding.oci.namespace, feeding.bucket, "--once")
    no_config = feeding.load(**wrong_key)
    no_daemon = feeding.manage("fnload", "http://127.0.0.1:1", feeding.oci.namespace, feeding.bucket)
    for result, words in (
        (no_bucket, "no-such-bucket"),
        (no_server, "127.0.0.1:1: Connection refused"),
        (no_config, "/nowhere/config"),
        (no_daemon, "127.0.0.1:1: Connection refused"),
    ):
        assert (result.returncode, words in result.stderr) == (1, True), result.stderr
        assert "Traceback" not in result.stderr
    assert feeding.load().returncode == 0
    feeding.assert_every_sample_is_in_once()


def test_a_paused_feed_is_refused_unless_told(feeding: Feeding) -> None:
    assert feeding.load().returncode == 0
    feeding.manage.rows(
        "UPDATE loader_feed SET paused_at = '2026-01-01 00:00:00+00', pause_reason = 'holiday' RETURNING 1"
    )
    feeding.put_samples("s1")
    refused = feeding.load()
    assert (refused.returncode, "holiday" in refused.stderr) == (1, True)
    assert feeding.fn4.guids() == []
    assert feeding.load("--even-if-paused").returncode == 0
    assert feeding.fn4.guids() == ["s1"]
