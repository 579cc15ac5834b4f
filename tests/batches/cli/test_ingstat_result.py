"""What is written when an ingest is complete: columns, outcomes, evidence and report, once and whole."""

from __future__ import annotations

import csv
import json
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]


def when(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


def test_the_columns_of_a_complete_ingest(site: BatchSite) -> None:
    site.seed(plc=["a", "b", "c"])
    site.delete(*(site.key("plc", one) for one in "abc"))
    result = site.ingstat("plc")
    assert result.returncode == 0
    assert "plc: ingest is complete: 3 ingested, 0 remaining; ended at " in result.stdout
    batch = site.batch("plc")
    assert batch["status"] == "ingested"
    assert (batch["ingest_oks"], batch["ingest_errs"]) == (3, 0)
    assert batch["ingest_complete_time"] == batch["ingest_done_at"]
    took = when(batch["ingest_complete_time"]) - when(batch["ingest_start_time"])
    assert took > timedelta(hours=30)
    assert "after 30:00:" in result.stdout
    assert batch["outcomes"]["ingest"] == {"success": 3}
    assert not (Path(site.manage.environment["REPORTS_DIR"]) / "plc").exists()
    assert site.manage.rows("select asked_by <> '', host, ingest_oks, remaining from batches_ingestcheck") == [
        (True, "test-host", 3, 0)
    ]


def test_with_errors_it_ends_when_the_final_count_was_first_seen(site: BatchSite) -> None:
    site.seed(plc=["a", "b", "c"])

    def drain(number: int) -> None:
        if number == 1:
            site.delete(site.key("plc", "b"))

    site.between.before_listing = drain
    result = site.ingstat("plc", "--checks", "5", "--json")
    assert result.returncode == 10
    (facts,) = json.loads(result.stdout)["batches"]
    assert [one["remaining"] for one in facts["counts"]] == [3, 2, 2, 2]
    assert facts["ingest_complete_time"] == facts["counts"][1]["at"]
    assert facts["ingest_done"] == facts["counts"][3]["at"]
    assert (facts["ingest_oks"], facts["ingest_errs"], facts["unmatched"]) == (1, 2, 0)
    digests = [row[0] for row in site.manage.rows("select digest from batches_ingestcount order by number")]
    assert digests[0] != digests[1] == digests[2] == digests[3]
    report = Path(facts["report"])
    assert report.read_text() == (
        "identifier,cmt_upload_status,cmt_upload_message,CMT_ingest_status,CMT_ingest_message\n"
        "a,success,,failure,\nb,success,,success,\nc,success,,failure,\n"
    )


MAPPED = [
    ["\ufeffobjectNumber", "title", "cmt_rec_status", "cmt_outcome", "cmt_output_file", "cmt_s3_key", "cmt_warnings"],
    ["A.1", 'one, "quoted"', "new", "success", "A.1.xml", "key", ""],
    ["A.2", "two é", "new", "failure", "", "", ""],
    ["A.3", "three\nlines", "new", "success", "A.3.xml", "key", "careful"],
    ["A.4", "four", "new", "success", "gone.xml", "key", ""],
    ["A.5", "five", "new", "success", "A.5.xml", "", ""],
    ["A.6", "six", "new", "success", "A.6.xml", "key", ""],
]


def mapped_folder(site: BatchSite, bid: str) -> Path:
    folder = site.folder / "mapped"
    folder.mkdir()
    for name in ("A.1", "A.3", "A.5", "A.6"):
        (folder / f"{name}.xml").write_text(f"<r>{name}</r>")
    rows = [[site.key(bid, row[0]) if cell == "key" else cell for cell in row] for row in MAPPED]
    with (folder / "mapper_report.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\r\n").writerows(rows)
    return folder


def test_the_report_has_all_of_the_source_and_what_became_of_each_row(site: BatchSite) -> None:
    assert site("batch", "add", "plc", str(mapped_folder(site, "plc"))).returncode == 0
    uploaded = site("batch", "upload", "plc")
    assert uploaded.returncode == 10, uploaded.stderr
    site.delete(site.key("plc", "A.6"))
    result = site.ingstat("plc")
    assert result.returncode == 10
    report = Path(site.manage.environment["REPORTS_DIR"]) / "plc" / "ingest_report.csv"
    key = {n: site.key("plc", f"A.{n}") for n in range(1, 7)}
    assert report.read_text() == (
        "objectNumber,title,cmt_rec_status,cmt_outcome,cmt_output_file,cmt_s3_key,cmt_warnings,"
        "cmt_upload_status,cmt_upload_message,CMT_ingest_status,CMT_ingest_message\n"
        f'A.1,"one, ""quoted""",new,success,A.1.xml,{key[1]},,success,,failure,\n'
        "A.2,two é,new,failure,,,,skip,mapping failed,skip,Not uploaded: mapping failed\n"
        f'A.3,"three\nlines",new,success,A.3.xml,{key[3]},careful,success,,failure,\n'
        f"A.4,four,new,success,gone.xml,{key[4]},,unuploadable,file 'gone.xml' not found,"
        "failure,Not uploaded: file 'gone.xml' not found\n"
        "A.5,five,new,success,A.5.xml,,,unuploadable,no key in the mapper report,skip,Not uploaded: no key in the mapper report\n"
        f"A.6,six,new,success,A.6.xml,{key[6]},,success,,success,\n"
    )
    batch = site.batch("plc")
    assert (batch["upload_oks"], batch["upload_errs"], batch["ingest_oks"], batch["ingest_errs"]) == (3, 2, 1, 2)
    assert (batch["map_oks"], batch["map_errs"], batch["map_warns"], batch["status"]) == (5, 1, 1, "ingested")


def test_a_batch_that_is_ingested_is_not_counted_again(site: BatchSite) -> None:
    site.seed(errs=["a", "b"], fine=["a"])
    site.delete(site.key("fine", "a"))
    assert site.ingstat("errs", "fine").returncode == 10
    report = Path(site.manage.environment["REPORTS_DIR"]) / "errs" / "ingest_report.csv"
    first = report.read_bytes()
    report.unlink()
    site.between.reset()
    again = site.ingstat("errs", "fine")
    assert again.returncode == 10
    assert site.ingstat("fine").returncode == 0
    assert site.between.listings == 0
    assert "errs was found complete at " in again.stdout
    assert "manage.py batch rollback errs ingest" in again.stdout
    assert "errs: ingest is complete, but has errors: 0 ingested, 2 remaining" in again.stdout
    assert report.read_bytes() == first, "a report that is missing is written again, byte for byte"
    assert site.checks() == 2


def test_objects_of_the_batch_that_no_record_knows_are_counted_and_said(site: BatchSite) -> None:
    site.seed(plc=["a"])
    for n in range(3):
        site.s3.put(site.bucket, site.key("plc", f"stray{n}"), b"")
    result = site.ingstat("plc")
    assert result.returncode == 10
    assert "0 ingested, 4 remaining" in result.stdout
    assert "3 remaining objects without a record of the batch." in result.stdout
    assert site.manage.rows("select remaining, unmatched from batches_ingestcheck") == [(4, 3)]


def test_two_checks_at_once_write_one_result(site: BatchSite) -> None:
    site.seed(plc=["a", "b"])
    processes = [site.manage.start("ingstat", "plc", "--sleep", "0.3") for _ in range(3)]
    ends = [(process.communicate(timeout=60), process.returncode) for process in processes]
    assert [status for _, status in ends] == [10, 10, 10], ends
    assert site.checks() == 1
    others = "select count(*) from batches_ingestcheck where verdict is null"
    assert site.manage.rows(f"{others} and problem is null") == [(0,)], "what was overtaken says so"


def test_an_upload_that_begins_during_a_check_voids_it(site: BatchSite) -> None:
    site.seed(plc=["a"])

    def begin(number: int) -> None:
        if number == 2:
            site.manage.rows("update batches_batch set upload_runs = 2")

    site.between.before_listing = begin
    result = site.ingstat("plc")
    assert result.returncode == 1, result.stdout
    assert "No result for plc" in result.stderr
    assert site.checks() == 0
    assert site.batch("plc")["status"] == "uploaded"


def test_a_result_is_whole_or_not_there_when_the_check_is_killed(site: BatchSite) -> None:
    bids = [f"k{n}" for n in range(5)]
    site.seed(**{bid: [f"id{n}" for n in range(40)] for bid in bids})
    for number, bid in enumerate(bids):
        site.between.reset()
        process = site.manage.start("ingstat", bid, "--sleep", "0.01")
        while site.between.listings < 3 and process.poll() is None:
            time.sleep(0.002)
        time.sleep(number * 0.007)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert_whole(site, bid)
    assert site.ingstat(*bids).returncode == 10
    for bid in bids:
        assert_whole(site, bid)


def assert_whole(site: BatchSite, bid: str) -> None:
    rows: list[Any] = site.manage.rows(
        "select b.status, b.ingest_errs, b.ingest_oks,"
        " (select count(*) from batches_ingestcheck c where c.batch_id = b.id and verdict is not null),"
        " (select count(*) from batches_ingestcount n join batches_ingestcheck c on c.id = n.check_run_id"
        "  where c.batch_id = b.id and verdict is not null),"
        " (select count(*) from batches_batchrecord r where r.batch_id = b.id and r.ingest_outcome = 'failure')"
        " from batches_batch b where b.bid = %s",
        bid,
    )
    assert rows[0] in [("uploaded", None, None, 0, 0, 0), ("ingested", 40, 0, 1, 3, 40)], rows
