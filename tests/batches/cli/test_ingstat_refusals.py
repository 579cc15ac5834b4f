"""What `ingstat` does when it can't check: a clear line, exit status 1 (2 for usage), and nothing recorded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.faultproxy import FaultProxy
    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]


RESULTS = ("batches_batch", "batches_batchrecord")
TABLES = (*RESULTS, "batches_ingestcheck", "batches_ingestcount")


def snapshot(site: BatchSite, tables: tuple[str, ...] = TABLES) -> list[list[tuple[object, ...]]]:
    return [site.manage.rows(f"select * from {table} order by id") for table in tables]


def test_a_listing_that_fails_in_any_count_is_an_error_and_no_result(site: BatchSite, s3_proxy: FaultProxy) -> None:
    site.seed(plc=["a", "b"])
    site.manage.environment |= site.s3.environ(s3_proxy.endpoint)
    before = snapshot(site, RESULTS)
    for after in (0, 1, 2):  # in the first count, in the check, in the recheck
        s3_proxy.clear_faults()
        s3_proxy.faults(
            {
                "method": "GET",
                "path": "list-type=2",
                "kind": "status",
                "status": 403,
                "code": "AccessDenied",
                "after": after,
            }
        )
        result = site.ingstat("plc")
        assert result.returncode == 1, result.stdout
        assert "Could not check plc, no result: s3://" in result.stderr
        assert len(result.stdout.splitlines()) == after
        assert "complete" not in result.stdout
        assert snapshot(site, RESULTS) == before
    kept = site.manage.rows(
        "select substr(c.problem, 1, 5), count(n.id) from batches_ingestcheck c join batches_ingestcount n"
        " on n.check_run_id = c.id where c.verdict is null group by c.id, c.problem order by c.id"
    )
    assert kept == [("s3://", 1), ("s3://", 2)], "what was counted before the error is history"
    s3_proxy.clear_faults()
    assert site.ingstat("plc").returncode == 10


def test_an_error_within_a_page_that_says_200_is_no_count_of_0(site: BatchSite, s3_proxy: FaultProxy) -> None:
    site.seed(plc=["a"])
    site.manage.environment |= site.s3.environ(s3_proxy.endpoint)
    s3_proxy.faults(
        {"method": "GET", "path": "list-type=2", "kind": "status", "status": 200, "code": "InternalError", "after": 2}
    )
    result = site.ingstat("plc")
    assert result.returncode == 1, result.stdout
    assert site.checks() == 0


def test_a_bucket_that_is_gone_is_no_count_of_0(site: BatchSite) -> None:
    site.seed(plc=["a"])
    site.manage.rows("update batches_batch set store_url = 's3://no-such-bucket'")
    result = site.ingstat("plc")
    assert result.returncode == 1
    assert "no-such-bucket" in result.stderr
    assert site.checks() == 0


def test_it_refuses_what_is_unknown_was_not_uploaded_or_is_being_uploaded(site: BatchSite, tmp_path: Path) -> None:
    site.seed(none=["a"], open=["a"], runs=["a"])
    assert site("batch", "add", "added", str(site.files("files", 2))).returncode == 0
    site.manage.rows("update batches_batch set upload_oks = 0, upload_errs = 1 where bid = 'none'")
    site.manage.rows("update batches_batch set upload_finished = null where bid in ('open', 'runs')")
    site.manage.rows(
        "update batches_batch set upload_owner = 'x', upload_pid = 7, upload_host = 'elsewhere', upload_process = '',"
        " upload_heartbeat = upload_started where bid = 'runs'"
    )
    before = snapshot(site)
    result = site.ingstat("nobody", "added", "none", "open", "runs")
    assert result.returncode == 1
    assert result.stdout == ""
    unknown, never, nothing, unfinished, runs = result.stderr.splitlines()
    assert unknown.startswith("There is no batch 'nobody'.")
    assert never == "added was never uploaded (status: added): run `manage.py batch upload added` first."
    assert nothing.startswith("Nothing of none was uploaded")
    assert unfinished.startswith("The upload of open is unfinished: run `manage.py batch upload open` again")
    assert runs.startswith("runs is being uploaded by process 7 on elsewhere")
    assert snapshot(site) == before
    assert site.between.listings == 0


def test_wrong_usage_is_status_2_and_says_what_is_allowed(site: BatchSite) -> None:
    for words, said in (
        (["plc", "--sleep", "-1"], "invalid number '-1': expected a finite number of seconds, 0 or more"),
        (["plc", "--sleep", "nan"], "finite number"),
        (["plc", "--checks", "0"], "invalid number '0': expected a whole number of at least 1"),
        (["plc", "--rechecks", "x"], "invalid number 'x': expected a whole number of at least 1"),
        ([], "Give the ids of the batches to check, or --all."),
        (["plc", "--all"], "Give the ids of the batches to check, or --all."),
    ):
        result = site("ingstat", *words)
        assert result.returncode == 2, words
        assert said in result.stderr


def test_all_without_a_batch_that_waits_is_no_failure(site: BatchSite) -> None:
    result = site("ingstat", "--all")
    assert (result.returncode, result.stdout) == (0, "No batch is waiting for its ingest.\n")


def test_a_database_that_is_not_migrated_is_status_1_with_the_way_out(site: BatchSite, tmp_path: Path) -> None:
    for words in (("ingstat", "plc"), ("batch", "list"), ("batch", "add", "plc", str(tmp_path))):
        result = site(*words, DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")
        assert result.returncode == 1
        assert "python manage.py migrate" in result.stderr


def test_the_store_of_a_batch_is_its_own_whatever_is_set_now(site: BatchSite) -> None:
    site.seed(plc=["a"], old=["a"])
    result = site("ingstat", "plc", "--sleep", "0", BATCH_STORE_URL="s3://another")
    assert result.returncode == 10
    note = f"plc was uploaded to {site.url} and is counted there, although BATCH_STORE_URL is now s3://another."
    assert result.stdout.splitlines()[0] == note
    site.manage.rows("update batches_batch set store_url = null where bid = 'old'")
    result = site("ingstat", "old", BATCH_STORE_URL="")
    assert result.returncode == 1
    assert "BATCH_STORE_URL is not set" in result.stderr
    result = site("ingstat", "old", BATCH_STORE_URL="ftp://x")
    assert result.returncode == 1
    assert "s3://" in result.stderr


def test_nothing_listens_and_it_says_so_within_seconds(site: BatchSite) -> None:
    site.seed(plc=["a"])
    result = site("ingstat", "plc", AWS_ENDPOINT_URL_S3="http://127.0.0.1:9")
    assert result.returncode == 1
    assert "127.0.0.1:9" in result.stderr
    assert "Traceback" not in result.stderr
    assert site.checks() == 0


def test_neighbours_in_one_bucket_are_never_counted_and_strange_names_are_reported(site: BatchSite) -> None:
    names = {"a1": 2, "a1b": 3, "batch": 1, "batcha": 2, "q": 4, "qp": 5}
    site.seed(**{bid: [f"id{n}" for n in range(number)] for bid, number in names.items()})
    for name in ("YTF8____", "YTF.txt", "YTFé", "elsewhere.xml"):
        site.s3.put(site.bucket, name, b"")
    result = site.ingstat(*names)
    assert result.returncode == 10
    assert "a1: 2 objects remaining" in result.stdout
    assert "not counted: 3 objects of other batches with the same prefix" in result.stdout
    assert "not counted: 3 objects whose name is not a key, such as 'YTF.txt', 'YTF8____', 'YTFé'" in result.stdout
    left = site.manage.rows("select bid, ingest_errs, ingest_oks from batches_batch order by bid")
    assert left == [(bid, number, 0) for bid, number in sorted(names.items())]
    site.delete(*(site.key("a1", f"id{n}") for n in range(2)))
    assert len(site.s3.objects(site.bucket)) == sum(names.values()) + 4 - 2


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupted_check_exits_130_and_records_nothing(site: BatchSite) -> None:
    import signal
    import threading

    site.seed(plc=["a"])
    counted = threading.Event()
    site.between.before_listing = lambda _number: counted.set()
    process = site.manage.start("ingstat", "plc", "--sleep", "60")
    assert counted.wait(30)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert site.checks() == 0
