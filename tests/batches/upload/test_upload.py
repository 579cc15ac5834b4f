"""`batch upload`: what is put, what is not, and what is said about it."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]


def outcomes(site: BatchSite, bid: str = "plc") -> dict[str, int]:
    found: dict[str, int] = site.batch(bid)["outcomes"]["upload"]
    return found


def add(site: BatchSite, number: int, bid: str = "plc", *options: str) -> None:
    result = site("batch", "add", bid, str(site.files(bid, number)), *options)
    assert result.returncode == 0, result.stderr


def test_every_object_is_put_once_with_the_content_of_its_file(site: BatchSite) -> None:
    add(site, 130)
    dry = site("batch", "upload", "plc", "--dry-run")
    assert dry.stdout == f"130 records of plc would be sent to {site.url}.\n"
    assert site.between.puts == []
    result = site("batch", "upload", "plc")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "130 records to send\nplc: 130 success.\nNext: manage.py ingstat plc\n"
    keys = [site.key("plc", f"A.{n:05}") for n in range(1, 131)]
    assert sorted(site.between.puts) == sorted(keys)
    assert site.s3.objects(site.bucket) == sorted(keys)
    assert site.s3.get(site.bucket, keys[6]) == b"<record n='7'/>"
    batch = site.batch("plc")
    assert (batch["status"], batch["upload_oks"], batch["upload_errs"]) == ("uploaded", 130, 0)
    assert batch["store_url"] == site.url
    assert batch["upload_started"] <= batch["ingest_start_time"] < batch["upload_finished"]
    again = site("batch", "upload", "plc")
    assert (again.returncode, len(site.between.puts)) == (0, 130)
    assert site.batch("plc")["upload_finished"] == batch["upload_finished"]
    assert site.ingstat("plc").returncode == 10


def test_a_clear_refusal_is_a_failure_and_tried_again_by_the_next_run(site: BatchSite) -> None:
    add(site, 30)
    bad = {site.key("plc", f"A.{n:05}") for n in (3, 17)}
    site.between.before_put = lambda key: 403 if key in bad else 0
    result = site("batch", "upload", "plc")
    assert result.returncode == 10, result.stderr
    assert outcomes(site) == {"success": 28, "failure": 2}
    shown = site("batch", "show", "plc").stdout
    assert "2 records failure: s3://" in shown
    assert "AccessDenied: told so by the test" in shown
    started = site.batch("plc")["ingest_start_time"]
    site.between.reset()
    assert site("batch", "upload", "plc").returncode == 0
    assert set(site.between.puts) == bad
    batch = site.batch("plc")
    assert (batch["upload_oks"], batch["upload_errs"], batch["ingest_start_time"]) == (30, 0, started)


def test_an_upload_of_which_nothing_arrives_leaves_the_batch_as_it_was(site: BatchSite) -> None:
    add(site, 3)
    site.between.before_put = lambda _key: 403
    result = site("batch", "upload", "plc")
    assert result.returncode == 1
    assert "Nothing of plc was uploaded" in result.stderr
    batch = site.batch("plc")
    assert (batch["status"], batch["upload_oks"], batch["upload_errs"]) == ("added", 0, 3)
    refused = site.ingstat("plc")
    assert refused.returncode == 1
    assert "Nothing of plc was uploaded" in refused.stderr
    site.between.reset()
    assert site("batch", "upload", "plc").returncode == 0
    assert site.batch("plc")["ingest_start_time"] > batch["ingest_start_time"]


def test_it_stops_when_nothing_can_be_put_and_goes_on_later(site: BatchSite) -> None:
    add(site, 200)
    missing = site("batch", "upload", "plc", BATCH_STORE_URL="s3://no-such-bucket")
    assert missing.returncode == 1
    assert "NoSuchBucket" in missing.stderr
    site.between.before_put = lambda _key: 403
    result = site("batch", "upload", "plc")
    assert result.returncode == 1
    assert "The upload of plc is unfinished" in result.stderr
    assert "20 objects in a row failed" in result.stderr
    assert outcomes(site)["pending"] > 100
    assert site.ingstat("plc").returncode == 1
    assert site("batch", "upload", "plc", AWS_ENDPOINT_URL_S3="http://127.0.0.1:9").returncode == 1
    assert "uncertain" not in outcomes(site)
    site.between.reset()
    assert site("batch", "upload", "plc").returncode == 0
    assert outcomes(site) == {"success": 200}
    assert len(site.between.puts) == 200


def test_an_unclear_end_is_a_success_if_the_object_is_there_and_else_uncertain(site: BatchSite) -> None:
    add(site, 20)
    eaten, there = site.key("plc", "A.00004"), site.key("plc", "A.00009")

    def cut(key: str) -> int:
        if key == there:
            site.s3.put(site.bucket, there, b"")
        return -1 if key in (eaten, there) else 0

    site.between.before_put = cut
    result = site("batch", "upload", "plc")
    assert result.returncode == 10, result.stderr
    assert outcomes(site) == {"success": 19, "uncertain": 1}
    assert "row 4: A.00004 (CREATE)" in result.stdout
    assert "--resend-uncertain" in result.stdout
    site.between.reset()
    again = site("batch", "upload", "plc")
    assert (again.returncode, site.between.puts) == (10, [])
    shown = site("batch", "show", "plc").stdout
    assert "row 4: A.00004 (CREATE)" in shown
    told = site("batch", "upload", "plc", "--resend-uncertain")
    assert (told.returncode, site.between.puts) == (0, [eaten])


def test_an_uncertain_record_stays_so_when_sending_it_again_is_refused(site: BatchSite) -> None:
    add(site, 2)
    site.between.before_put = lambda key: -1 if key == site.key("plc", "A.00001") else 0
    assert site("batch", "upload", "plc").returncode == 10
    site.between.before_put = lambda _key: 403
    assert site("batch", "upload", "plc", "--resend-uncertain").returncode == 10
    assert outcomes(site) == {"success": 1, "uncertain": 1}
    site.between.reset()
    assert site("batch", "upload", "plc").returncode == 10
    assert site.between.puts == []


def test_an_uncertain_object_that_turns_up_was_uploaded_after_all(site: BatchSite) -> None:
    add(site, 3)
    late = site.key("plc", "A.00002")
    site.between.before_put = lambda key: -1 if key == late else 0
    assert site("batch", "upload", "plc").returncode == 10
    site.s3.put(site.bucket, late, b"")
    assert site.ingstat("plc").returncode == 10
    batch = site.batch("plc")
    assert batch["outcomes"]["upload"] == {"success": 3}
    assert (batch["upload_oks"], batch["upload_errs"], batch["ingest_oks"], batch["ingest_errs"]) == (3, 0, 0, 3)


def test_a_record_that_is_uncertain_at_the_end_is_reported_so(site: BatchSite) -> None:
    add(site, 2)
    site.between.before_put = lambda key: -1 if key == site.key("plc", "A.00001") else 0
    assert site("batch", "upload", "plc").returncode == 10
    site.delete(site.key("plc", "A.00002"))
    assert site.ingstat("plc").returncode == 0
    batch = site.batch("plc")
    assert batch["outcomes"]["ingest"] == {"success": 1, "uncertain": 1}
    assert (batch["ingest_oks"], batch["ingest_errs"], batch["upload_errs"]) == (1, 0, 1)


def test_a_file_that_went_away_is_unuploadable_and_sent_when_it_is_back(site: BatchSite) -> None:
    add(site, 5)
    file = site.folder / "plc" / "A.00003.xml"
    file.rename(file.with_suffix(".away"))
    assert site("batch", "upload", "plc").returncode == 10
    assert outcomes(site) == {"success": 4, "unuploadable": 1}
    file.with_suffix(".away").rename(file)
    assert site("batch", "upload", "plc").returncode == 0
    assert len(site.between.puts) == 5


def test_of_two_uploads_at_once_the_second_refuses(site: BatchSite) -> None:
    add(site, 40)
    begun, go_on = threading.Event(), threading.Event()

    def hold(_key: str) -> int:
        begun.set()
        go_on.wait(60)
        return 0

    site.between.before_put = hold
    first = site.manage.start("batch", "upload", "plc")
    assert begun.wait(30)
    second = site("batch", "upload", "plc")
    assert second.returncode == 1
    assert f"plc is being uploaded by process {first.pid} on test-host" in second.stderr
    checked = site.ingstat("plc")
    assert checked.returncode == 1
    assert "Check it when the upload has ended" in checked.stderr
    go_on.set()
    out, err = first.communicate(timeout=60)
    assert first.returncode == 0, (out, err)
    assert len(site.between.puts) == 40


def test_an_owner_elsewhere_that_gave_no_sign_for_a_minute_is_dead(site: BatchSite) -> None:
    add(site, 3)
    claim = (
        "update batches_batch set upload_owner = 'x', upload_host = 'elsewhere', upload_pid = 1, upload_process = 'a 1 2',"
        " upload_started = {0}, upload_heartbeat = {0}"
    )
    postgres = site.manage.environment["DATABASE_URL"].startswith("postgres")
    for seconds, status in ((30, 1), (90, 0)):
        ago = (
            f"now() - interval '{seconds} seconds'"
            if postgres
            else f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{seconds} seconds')"
        )
        site.manage.rows(claim.format(ago))
        result = site("batch", "upload", "plc")
        assert result.returncode == status, result.stderr
    assert len(site.between.puts) == 3


def test_an_interrupt_ends_what_is_in_flight_and_leaves_nothing_uncertain(site: BatchSite) -> None:
    import signal

    add(site, 200)
    begun, go_on = threading.Event(), threading.Event()

    def hold(_key: str) -> int:
        begun.set()
        go_on.wait(60)
        return 0

    site.between.before_put = hold
    process = site.manage.start("batch", "upload", "plc")
    assert begun.wait(30)
    process.send_signal(signal.SIGTERM)
    time.sleep(1)  # until it has heard it: what was put before is no concern of this test
    go_on.set()
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    found = outcomes(site)
    assert set(found) == {"success", "pending"}
    assert found["success"] == len(site.between.puts) < 60
    assert site("batch", "upload", "plc").returncode == 0
    assert len(site.between.puts) == len(set(site.between.puts)) == 200


def test_it_says_what_is_out_of_order(site: BatchSite) -> None:
    site.seed(plc=["a"])
    assert site.ingstat("plc").returncode == 10
    ingested = site("batch", "upload", "plc")
    assert ingested.returncode == 1
    assert "manage.py batch rollback plc ingest" in ingested.stderr
    unknown = site("batch", "upload", "nobody")
    assert unknown.returncode == 1
    assert "There is no batch 'nobody'" in unknown.stderr
    add(site, 1, "new")
    unset = site("batch", "upload", "new", BATCH_STORE_URL="")
    assert unset.returncode == 1
    assert "BATCH_STORE_URL is not set" in unset.stderr


def test_a_folder_or_a_prefix_is_a_store_too(site: BatchSite) -> None:
    for bid, url in (("fold", (site.folder / "store").as_uri()), ("pref", f"{site.url}/in/here/")):
        (site.folder / "store").mkdir(exist_ok=True)
        add(site, 2, bid)
        result = site("batch", "upload", bid, BATCH_STORE_URL=url)
        assert result.returncode == 0, result.stderr
        checked = site("ingstat", bid, "--sleep", "0", BATCH_STORE_URL=url)
        assert checked.returncode == 10, checked.stderr
        assert f"{bid}: 2 objects remaining" in checked.stdout
    assert sorted(one.name for one in (site.folder / "store").iterdir()) == [
        site.key("fold", f"A.0000{n}") for n in (1, 2)
    ]
    assert site.s3.objects(site.bucket) == ["in/here/" + site.key("pref", f"A.0000{n}") for n in (1, 2)]


def test_a_file_that_something_else_took_the_place_of_is_not_sent(site: BatchSite, tmp_path: Path) -> None:
    add(site, 5)
    folder = site.files("plc", 5)
    secret = tmp_path / "key.pem"
    secret.write_text("secret")
    others = [folder / f"A.{n:05}.xml" for n in range(1, 5)]
    for path in others:
        path.unlink()
    others[0].symlink_to(secret)
    os.mkfifo(others[1])
    others[2].symlink_to("/proc/self/environ")
    with others[3].open("wb") as file:
        file.truncate(100_000_001)
    result = site("batch", "upload", "plc")
    assert result.returncode == 10, result.stderr
    assert outcomes(site) == {"success": 1, "unuploadable": 4}
    assert site.s3.objects(site.bucket) == [site.key("plc", "A.00005")]
    shown = site("batch", "show", "plc").stdout
    assert "is outside of the batch folder" in shown
    assert "100,000,001 bytes, at most 100,000,000 can be sent" in shown
    # A link to a file of the folder is one of its files.
    others[1].unlink()
    others[1].symlink_to("A.00005.xml")
    assert site("batch", "upload", "plc").returncode == 10
    assert outcomes(site) == {"success": 2, "unuploadable": 3}
