"""`ingstat --watch`, `--heal` and `--messages` at the command line."""

from __future__ import annotations

import io
import json
import re
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command
from django.utils import timezone

from batches.choices import CheckKind
from batches.models import Batch, IngestCheck
from batches.reports.ingest_report import report_path
from sandbox.lambdalog import line, lines_of
from tests.support.failing_database import strike
from tests.support.waiting import until

if TYPE_CHECKING:
    from sandbox.faultproxy import FaultProxy
    from sandbox.logs import LogsSandbox
    from tests.support.batch_site import BatchSite
    from tests.support.folder_batch import FolderBatch, Seed

here = pytest.mark.django_db(transaction=True)
"""In this process, on a folder."""


def ingstat(*words: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a call in this process."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    try:
        call_command("ingstat", *words, stdout=out, stderr=err)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, out.getvalue(), err.getvalue()


def test_it_follows_a_batch_to_its_end_and_tells_how_fast_it_goes(site: BatchSite) -> None:
    site.seed(plc=[f"id{n}" for n in range(9)])

    def drain(number: int) -> None:
        if number < 3:
            site.delete(*(site.key("plc", f"id{n}") for n in range(3 * number, 3 * number + 3)))

    site.between.before_listing = drain
    process = site.manage.start("ingstat", "plc", "--watch", "--sleep", "0.01", "--checks", "1")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    first, *_, last = out.splitlines()
    assert first.startswith("plc: 3 of 9: 6 objects remaining")
    assert last.startswith("plc: ingest is complete: 9 ingested, 0 remaining")
    kept = site.manage.rows(
        "select c.kind, c.verdict, n.remaining from batches_ingestcheck c"
        " join batches_ingestcount n on n.check_run_id = c.id order by n.id"
    )
    assert kept == [("watch", "in_progress", 6), ("watch", "in_progress", 3), ("watch", "complete", 0)]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_exits_0_at_once_and_what_it_counted_is_kept(site: BatchSite, sign: signal.Signals) -> None:
    site.seed(plc=["a"])
    process = site.manage.start("ingstat", "plc", "--watch", "--sleep", "600")
    assert process.stdout
    assert process.stdout.readline().startswith("plc: 0 of 1: 1 object remaining")
    process.send_signal(sign)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("Stopped watching plc.")
    assert site.batch("plc")["status"] == "uploaded"
    assert site.manage.rows("select verdict, problem from batches_ingestcheck") == [(None, "interrupted")]


def test_while_the_store_is_away_it_goes_on_watching(site: BatchSite, s3_proxy: FaultProxy) -> None:
    site.seed(plc=["a"])
    site.manage.environment |= site.s3.environ(s3_proxy.endpoint)
    s3_proxy.faults({"method": "GET", "path": "list-type=2", "kind": "status", "status": 503, "after": 1})
    process = site.manage.start("ingstat", "plc", "--watch", "--sleep", "0.01", "--rechecks", "1")
    assert process.stderr
    assert "trying again" in process.stderr.readline()
    site.delete(site.key("plc", "a"))
    s3_proxy.clear_faults()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "plc: ingest is complete: 1 ingested, 0 remaining" in out


def test_while_the_database_is_away_it_goes_on_watching(site: BatchSite) -> None:
    site.seed(plc=["a"])
    process = site.manage.start("ingstat", "plc", "--watch", "--sleep", "0.05", "--rechecks", "1000")
    assert process.stdout
    assert process.stderr
    assert process.stdout.readline().startswith("plc: 0 of 1: 1 object remaining")
    strike(site.manage, "batches_ingestcount")
    assert re.match(r"Database error: .+; trying again\.", process.stderr.readline())
    site.delete(site.key("plc", "a"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "plc: ingest is complete: 1 ingested, 0 remaining" in out


def test_told_to_stop_after_the_database_ended_its_connection_it_leaves_no_check_open(site: BatchSite) -> None:
    site.seed(plc=["a"])
    process = site.manage.start("ingstat", "plc", "--sleep", "600")
    until(lambda: site.manage.rows("select 1 from batches_ingestcount"), "it counted", process)
    strike(site.manage, "batches_ingestcount")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (143, "Terminated.\n")
    assert site.manage.rows("select verdict, problem from batches_ingestcheck") == [(None, "interrupted")]


def test_a_watch_of_a_batch_with_errors_has_their_status_and_a_wrong_use_is_2(site: BatchSite) -> None:
    site.seed(plc=["a"])
    assert site("ingstat", "plc", "--watch", "--sleep", "0", "--rechecks", "2").returncode == 10
    for words in (
        ("--watch", "--all"),
        ("--watch", "plc", "mat"),
        ("--watch", "plc", "--json"),
        ("--watch", "--heal", "plc"),
    ):
        assert site("ingstat", *words).returncode == 2, words


@pytest.fixture
def ended(folder_batch: Seed) -> FolderBatch:
    made = folder_batch("plc", ["a", "b", "c"])
    made.ingest("a")
    assert ingstat("plc", "--sleep", "0")[0] == 10
    return made


@here
def test_heal_counts_once_and_says_what_came_of_it(ended: FolderBatch) -> None:
    status, out, _ = ingstat("plc", "--heal")
    assert (status, out) == (10, "plc: nothing changed: 1 ingested, 2 remaining.\n")
    ended.ingest("b")
    ended.put("a")
    status, out, _ = ingstat("plc", "--heal")
    assert status == 10
    assert out.splitlines() == [
        "plc: 1 record healed: 2 ingested, 1 remaining.",
        "  1 object of ingested records in the bucket again.",
    ]
    assert "b,success,,success," in report_path(ended.batch).read_text()
    shown = io.StringIO()
    call_command("batch", "show", "plc", stdout=shown)
    first, second = shown.getvalue().splitlines()[-2:]
    assert first.endswith(": complete, with errors, 2 remaining, 1 ingested")
    assert "  healing by " in second
    assert second.endswith(": complete, with errors, 2 remaining, 2 ingested"), "one of those left is there again"
    ended.ingest("c")
    status, out, _ = ingstat("--all", "--heal", "--json")
    facts = json.loads(out)["batches"]
    assert status == 0
    assert facts == [{"id": "plc", "healed": 1, "again": 1, "ingest_oks": 3, "ingest_errs": 0, "exit_status": 0}]
    assert ingstat("plc", "--heal") == (0, "plc has no errors: nothing to heal.\n", "")
    assert "plc: ingest is complete: 3 ingested, 0 remaining" in ingstat("plc")[1]
    assert not report_path(ended.batch).exists()


@here
def test_heal_refuses_a_batch_without_a_result(folder_batch: Seed) -> None:
    folder_batch("plc", ["a"])
    status, _, err = ingstat("plc", "--heal")
    assert (status, err) == (1, "plc has no result yet: run `manage.py ingstat plc` first.\n")
    assert not IngestCheck.objects.exists()


@here
def test_the_result_tells_when_the_log_says_it_ended_and_which_messages_it_had(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    made = folder_batch("plc", ["a", "b"])
    made.ingest("a")
    when = timezone.now() - timedelta(minutes=1)
    events = [*lines_of(made.key("b"), 0, "r"), line("ERROR", 0, "r", "Exception: 409 Client Error")]
    logs.put(log_group, [("s", round(when.timestamp() * 1000), text) for text in events])
    status, out, err = ingstat("plc", "--sleep", "0")
    assert (status, err) == (10, "")
    assert f"ended at {when:%Y-%m-%d %H:%M:%S}" in out
    assert "  From the ingest log: 1 failed record with a message.\n" in out
    assert made.record("b").ingest_message == "409 Client Error"


@here
def test_a_log_that_can_not_be_read_is_said_and_can_be_repeated_alone(
    folder_batch: Seed, logs: LogsSandbox, log_group: str
) -> None:
    made = folder_batch("plc", ["a", "b"])
    made.ingest("a")
    logs.faults({"kind": "status", "status": 400, "code": "AccessDeniedException"})
    status, out, err = ingstat("plc", "--sleep", "0")
    assert status == 10, "the result stands"
    assert "plc: ingest is complete, but has errors: 1 ingested, 1 remaining" in out
    assert "needs the permission logs:FilterLogEvents" in err.replace("need the", "needs the")
    assert "manage.py ingstat plc --messages" in err
    listings = IngestCheck.objects.count()
    assert ingstat("plc", "--messages")[0] == 1
    logs.clear_faults()
    for words in (("--all", "--messages"), ("plc", "--messages")):
        status, out, err = ingstat(*words)
        assert (status, err) == (10, "")
        assert "From the ingest log: 0 failed records with a message." in out
    assert IngestCheck.objects.count() == listings, "nothing was counted for it"
    assert Batch.objects.get().messages_read_at


@here
def test_messages_without_a_log_group_or_a_result_are_refused(folder_batch: Seed, ended: FolderBatch) -> None:
    status, _, err = ingstat("plc", "--messages")
    assert status == 1
    assert "INGEST_LOG_GROUP is not set" in err


@here
def test_a_watch_counts_what_it_sees_as_a_watch(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a"])
    made.ingest("a")
    assert ingstat("plc", "--watch")[0] == 0
    assert IngestCheck.objects.get().kind == CheckKind.WATCH


def test_a_healing_that_is_killed_is_whole_or_not_there_and_the_next_one_puts_all_right(site: BatchSite) -> None:
    bids = [f"k{n}" for n in range(4)]
    site.seed(**{bid: [f"id{n}" for n in range(30)] for bid in bids})
    assert site.ingstat(*bids, "--sleep", "0").returncode == 10
    for number, bid in enumerate(bids):
        site.delete(*(site.key(bid, f"id{n}") for n in range(20)))
        site.between.reset()
        process = site.manage.start("ingstat", bid, "--heal")
        while site.between.listings < 1 and process.poll() is None:
            time.sleep(0.002)
        time.sleep(number * 0.008)
        process.kill()
        process.communicate()
        assert _heal_state(site, bid) in [(30, 0, 30, 0), (10, 20, 10, 1)]
    assert site("ingstat", *bids, "--heal").returncode == 10
    for bid in bids:
        assert _heal_state(site, bid) == (10, 20, 10, 1)
        report = Path(site.manage.environment["REPORTS_DIR"]) / bid / "ingest_report.csv"
        assert report.read_text().count(",failure,") == 10, "the report follows, too"


def _heal_state(site: BatchSite, bid: str) -> tuple[int, int, int, int]:
    """Errors and successes by the batch, failures by its records, and checks that changed its result."""
    ((errs, oks, failed, healings),) = site.manage.rows(
        "select b.ingest_errs, b.ingest_oks,"
        " (select count(*) from batches_batchrecord r where r.batch_id = b.id and r.ingest_outcome = 'failure'),"
        " (select count(*) from batches_ingestcheck c where c.batch_id = b.id and kind = 'heal' and verdict is not null)"
        " from batches_batch b where b.bid = %s",
        bid,
    )
    return errs, oks, failed, healings
