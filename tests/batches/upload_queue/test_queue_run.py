"""`batch upload` of several batches: each is uploaded and followed to its end, and the queue stops where too much fails."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from django.utils import timezone

from tests.support.waiting import until

if TYPE_CHECKING:
    import subprocess

    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]

QUICK = ("--sleep", "0.05", "--rechecks", "3")


def add(site: BatchSite, bid: str, number: int = 10, rectype: str = "") -> None:
    """A batch; of a record type of its own, so that others create no duplicates of it, unless there is a `rectype`."""
    added = site("batch", "add", bid, str(site.files(bid, number)), "--rectype", rectype or f"type{bid}")
    assert added.returncode == 0, added.stderr


def ingest_at_each_listing(site: BatchSite, *kept: str) -> None:
    """Whatever is in the bucket when it is listed is ingested, but for these keys."""
    site.between.before_listing = lambda _number: site.delete(*set(site.s3.objects(site.bucket)).difference(kept))


def batches_of(site: BatchSite) -> list[str]:
    """The batches whose objects were put, in their order."""
    bids = {site.key(bid, f"A.{n:05}"): bid for bid in ("a", "b", "c") for n in range(1, 101)}
    return list(dict.fromkeys(bids[key] for key in site.between.puts))


def queued(site: BatchSite) -> list[str]:
    return [
        str(bid) for (bid,) in site.manage.rows("SELECT bid FROM batches_batch WHERE queued_at IS NOT NULL ORDER BY 1")
    ]


def uploaded(site: BatchSite) -> list[str]:
    rows = site.manage.rows("SELECT bid FROM batches_batch WHERE upload_finished IS NOT NULL ORDER BY bid")
    return [str(bid) for (bid,) in rows]


def test_all_that_wait_are_uploaded_one_after_the_other_and_followed_to_their_end(site: BatchSite) -> None:
    for bid in ("b", "c", "a"):
        add(site, bid)
    planned = site("batch", "upload", "--all-mapped", "--dry-run")
    assert planned.stdout.splitlines()[-1] == "3 batches would be queued."
    assert queued(site) == []
    began: list[list[str]] = []
    ingest_at_each_listing(site)
    site.between.before_put = lambda _key: began.append(uploaded(site)) or None  # type: ignore[func-returns-value]
    result = site("batch", "upload", "--all-mapped", *QUICK)
    assert result.returncode == 0, result.stderr
    assert batches_of(site) == ["b", "c", "a"]
    lines = result.stdout.splitlines()
    assert lines[0] == "3 batches in the queue: b c a"
    ends = [line for line in lines if ": complete: 10 uploaded, 10 ingested, 0 failed; 20" in line]
    assert [line.partition(":")[0] for line in ends] == ["b", "c", "a"]
    assert lines[-3:-1] == ["3 batches:", "  complete: b c a"]
    assert lines[-1].startswith("  in all: 30 uploaded, 30 ingested, 0 failed; ")
    assert {site.batch(bid)["status"] for bid in "abc"} == {"ingested"}
    assert queued(site) == []
    assert site("batch", "upload", "--all-mapped").stdout == "No batch waits for its upload.\n"
    assert [] in began


def test_it_stops_at_the_batch_that_failed_and_goes_on_when_run_again(site: BatchSite) -> None:
    for bid in ("a", "b"):
        add(site, bid)
    ingest_at_each_listing(site, site.key("a", "A.00001"), site.key("a", "A.00002"))
    words = ("batch", "upload", "a", "b", *QUICK)
    result = site(*words)
    assert result.returncode == 1
    assert "The queue stopped at a: 2 of 10 records failed (0 not uploaded, 2 not ingested)" in result.stderr
    assert "1 batch not uploaded: b." in result.stderr
    assert "a: complete, but has errors: 10 uploaded, 8 ingested, 2 failed" in result.stdout
    assert (queued(site), batches_of(site)) == (["b"], ["a"])
    again = site(*words)
    assert again.returncode == 0, again.stderr
    assert "Not queued, already ingested: a" in again.stdout
    assert "The queue had stopped at a, and goes on: 2 of 10 records failed" in again.stdout
    assert site.batch("b")["status"] == "ingested"


def test_fewer_failures_than_the_share_only_change_the_status(site: BatchSite) -> None:
    for bid in ("a", "b"):
        add(site, bid)
    ingest_at_each_listing(site, site.key("a", "A.00001"))
    result = site("batch", "upload", "--all-mapped", *QUICK)
    assert result.returncode == 10, result.stderr
    assert "  complete, but has errors: a\n  complete: b\n" in result.stdout


def test_a_batch_of_which_nothing_arrives_has_failed_and_stops_the_queue(site: BatchSite) -> None:
    add(site, "a", 3)
    add(site, "b", 3)
    bad = {site.key("a", f"A.{n:05}") for n in (1, 2, 3)}
    site.between.before_put = lambda key: 403 if key in bad else None
    ingest_at_each_listing(site)
    result = site("batch", "upload", "a", "b", *QUICK)
    assert (result.returncode, "3 of 3 records failed" in result.stderr) == (1, True)
    assert "a: failed: 0 uploaded, 0 ingested, 3 failed\n" in result.stdout
    assert queued(site) == ["b"]
    again = site("batch", "upload", "--all-mapped", *QUICK)
    assert again.returncode == 1
    assert "1 batch:\n" not in again.stdout
    assert site.batch("b")["status"] == "ingested", "it was before the one that is queued again"


def test_some_at_a_time_begin_before_the_ingest_of_the_first_has_ended(site: BatchSite) -> None:
    for bid in ("a", "b", "c"):
        add(site, bid)
    process = site.manage.start("batch", "upload", "--all-mapped", "--at-once", "2", *QUICK, "--rechecks", "100000")
    until(lambda: uploaded(site) == ["a", "b"], "two are uploaded", process)
    site.delete(*site.s3.objects(site.bucket))
    until(lambda: uploaded(site) == ["a", "b", "c"], "the third is uploaded", process)
    site.delete(*site.s3.objects(site.bucket))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.count(": complete: 10 uploaded, 10 ingested") == 3


def test_outside_of_its_hours_it_waits_and_says_until_when(site: BatchSite) -> None:
    add(site, "a")
    add(site, "b")
    hour = timezone.now().hour
    hours = f"{(hour + 2) % 24}:00-{(hour + 3) % 24}:30"
    process = site.manage.start("batch", "upload", "--all-mapped", *QUICK, UPLOAD_HOURS=hours)
    assert process.stdout
    first, second = process.stdout.readline(), process.stdout.readline()
    assert first == "2 batches in the queue: a b\n"
    assert re.match(r"Waiting until .+:00:00 \(UPLOAD_HOURS\): 2 batches to upload\.", second)
    stop(process)
    assert site.between.puts == []
    assert queued(site) == ["a", "b"]
    ingest_at_each_listing(site)
    assert site("batch", "upload", "--all-mapped", *QUICK).returncode == 0


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143


def test_told_to_stop_it_ends_after_what_is_in_flight_and_is_resumed(site: BatchSite) -> None:
    add(site, "a", 100)
    add(site, "b")
    processes: list[subprocess.Popen[str]] = []

    def before_put(_key: str) -> int | None:
        if len(site.between.puts) == 20:
            processes[0].send_signal(signal.SIGTERM)
        return None

    site.between.before_put = before_put
    processes.append(site.manage.start("batch", "upload", "--all-mapped", *QUICK))
    _, err = processes[0].communicate(timeout=60)
    assert (processes[0].returncode, err.splitlines()[-1]) == (143, "Terminated.")
    assert "The batches stay queued" in err
    assert queued(site) == ["a", "b"]
    assert site.batch("a")["uncertain"] == []
    assert "sending" not in site.batch("a")["outcomes"]["upload"]
    ingest_at_each_listing(site)
    assert site("batch", "upload", "--all-mapped", *QUICK).returncode == 0
    assert len(site.between.puts) == len(set(site.between.puts)) == 110


def test_two_commands_at_once_never_send_an_object_twice(site: BatchSite) -> None:
    for bid in ("a", "b", "c"):
        add(site, bid, 50)
    ingest_at_each_listing(site)
    words = ("batch", "upload", "--all-mapped", *QUICK)
    processes = [site.manage.start(*words) for _ in range(2)]
    ended = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    assert len(site.between.puts) == len(set(site.between.puts)) == 150
    assert {site.batch(bid)["status"] for bid in "abc"} == {"ingested"}


def test_what_can_not_be_queued_is_refused_before_anything_is_sent(site: BatchSite) -> None:
    add(site, "a")
    add(site, "b")
    (site.folder / "b").rename(site.folder / "elsewhere")
    refused = site("batch", "upload", "a", "b")
    assert (refused.returncode, "The files of b are not on this machine" in refused.stderr) == (1, True)
    assert "There is no batch 'x'" in site("batch", "upload", "a", "x").stderr
    assert queued(site) == []
    for words in ((), ("a", "--all-mapped"), ("a", "b", "--resend-uncertain"), ("a", "b", "--at-once", "0")):
        assert site("batch", "upload", *words).returncode == 2, words
    ingest_at_each_listing(site)
    left = site("batch", "upload", "--all-mapped", *QUICK)
    assert (left.returncode, "Not queued, their files are not on this machine: b" in left.stdout) == (0, True)


def test_duplicates_are_listed_or_refused_before_anything_is_queued(site: BatchSite) -> None:
    add(site, "a", 3, "media")
    add(site, "b", 3, "media")
    ingest_at_each_listing(site)
    refused = site("batch", "upload", "--all-mapped", *QUICK, "--duplicates", "refuse")
    assert refused.returncode == 1
    assert "Nothing was queued, as a has duplicates." in refused.stderr
    assert (queued(site), site.between.puts) == ([], [])
    sent = site("batch", "upload", "--all-mapped", *QUICK)
    assert sent.returncode == 0, sent.stderr
    assert "row 1: A.00001 is also in b" in sent.stdout
