"""Batches checked by the background jobs, one count a tick; and what of batches `fnstatus` and the alarms tell."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db.models import F
from django.utils import timezone
from django_q.models import OrmQ

from batches import tasks
from batches.choices import BatchStatus, UploadOutcome
from batches.concerns import batch_concerns
from batches.ingest import rule, scheduled
from batches.models import Batch, BatchRecord, IngestCheck, IngestCount
from batches.reports.ingest_report import report_path
from sandbox.lambdalog import line, lines_of
from tests.support.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

    from sandbox.logs import LogsSandbox
    from tests.support.batch_site import BatchSite

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
SPACING = timedelta(seconds=rule.SCHEDULED.sleep)
ENOUGH = rule.SCHEDULED.rechecks + 2
"""Counts until a batch that does not change has its verdict."""


def the_spacing_passes(times: float = 1) -> None:
    Batch.objects.update(counted_at=F("counted_at") - SPACING * times)


def kinds() -> list[str]:
    return [concern.kind for concern in batch_concerns()]


def test_every_batch_gets_its_verdict_one_count_a_tick(shelf: Shelf) -> None:
    done, bad = shelf.batch("done", "a", "b"), shelf.batch("bad", "a", "b", "c")
    shelf.ingest(bad, "a")
    tasks.count_batches()
    assert IngestCount.objects.count() == 2
    shelf.ingest(done, "a", "b")
    for _ in range(ENOUGH):
        the_spacing_passes()
        tasks.count_batches()
    done.refresh_from_db()
    bad.refresh_from_db()
    assert (done.status, done.ingest_errs, done.ingest_oks) == (BatchStatus.INGESTED, 0, 2)
    assert (bad.status, bad.ingest_errs, bad.ingest_oks) == (BatchStatus.INGESTED, 2, 1)
    assert kinds() == ["batch_errors"]
    shelf.ingest(bad, "b")
    Batch.objects.update(counted_at=timezone.now() - HOUR)
    assert "1 checked for healing" in tasks.count_batches()
    bad.refresh_from_db()
    assert (bad.ingest_errs, bad.ingest_oks) == (1, 2)


def test_jobs_that_come_twice_or_too_early_count_nothing(shelf: Shelf) -> None:
    shelf.batch("plc", "a")
    for _ in range(5):
        tasks.count_batches()
    assert IngestCount.objects.count() == 1
    the_spacing_passes(0.5)
    tasks.count_batches()
    assert IngestCount.objects.count() == 1
    the_spacing_passes(9)
    tasks.count_batches()
    assert IngestCount.objects.count() == 2, "late is one count, not nine"


COUNT = ("shell", "-v0", "-c", "from batches.tasks import count_batches; count_batches()")


def test_a_listing_that_takes_longer_than_the_spacing_is_overtaken(site: BatchSite) -> None:
    site.seed(plc=["a"])

    def job() -> None:
        site.manage.rows("UPDATE batches_batch SET counted_at = NULL RETURNING 1")
        process = site.manage.start(*COUNT)
        _, err = process.communicate()
        assert process.returncode == 0, err

    def overtake(listing: int) -> None:
        if listing == 1:
            job()

    site.between.before_listing = overtake
    job()
    job()
    assert site.between.listings == 3
    assert site.manage.rows("SELECT number FROM batches_ingestcount ORDER BY number") == [(1,), (2,)]
    assert json.loads(site("fnstatus", "--json").stdout)["concerns"] == []


def test_a_tick_queues_as_many_jobs_as_can_share_the_work(shelf: Shelf) -> None:
    for number in range(6):
        shelf.batch(f"b{number}", "a")
    assert tasks.nudge_batches() == "6 batches to count"
    assert {package.func() for package in OrmQ.objects.all()} == {"batches.tasks.count_batches"}
    assert OrmQ.objects.count() == tasks.MAX_JOBS
    tasks.count_batches()
    OrmQ.objects.all().delete()
    assert tasks.nudge_batches() == "0 batches to count"
    assert OrmQ.objects.count() == 0


def test_batches_that_are_not_to_be_checked_are_left_alone(shelf: Shelf) -> None:
    shelf.batch("old", "a")
    Batch.objects.update(archived_at=timezone.now())
    shelf.batch("going", "a")
    Batch.objects.filter(bid="going").update(upload_owner="t", upload_finished=None)
    assert scheduled.to_check().count() == 0


def test_a_job_that_is_told_to_stop_counts_no_more(shelf: Shelf) -> None:
    shelf.batch("plc", "a")
    assert scheduled.check_next(lambda: True) is None
    assert IngestCount.objects.count() == 0


def test_a_store_that_is_away_is_told_and_keeps_no_other_batch_from_being_checked(shelf: Shelf) -> None:
    broken = shelf.batch("broken", "a")
    shelf.batch("plc", "a")
    Batch.objects.filter(pk=broken.pk).update(store_url="file:///nowhere/at/all")
    tasks.count_batches()
    assert IngestCount.objects.count() == 1
    (concern,) = batch_concerns()
    assert (concern.kind, concern.about, bool(concern.since)) == ("check_failing", "broken", True)
    assert "/nowhere/at/all" in concern.why
    Batch.objects.filter(pk=broken.pk).update(store_url=shelf.bucket.as_uri())
    the_spacing_passes()
    tasks.count_batches()
    assert kinds() == []


def test_no_progress_is_told_after_an_hour_of_counts(shelf: Shelf) -> None:
    batch = shelf.batch("plc", "a", "b")
    tasks.count_batches()
    then = timezone.now() - 5 * HOUR
    Batch.objects.update(upload_started=then, upload_finished=then)
    IngestCount.objects.update(counted_at=timezone.now() - 4 * HOUR, remaining=9)
    assert kinds() == [], "nobody knows what came after"
    check = IngestCheck.objects.get()
    for number, hours in ((2, 3), (3, 1)):
        IngestCount.objects.create(
            check_run=check,
            number=number,
            counted_at=timezone.now() - hours * HOUR,
            remaining=2,
            digest="d",
            foreign=0,
            invalid=0,
        )
    (concern,) = batch_concerns()
    assert (concern.kind, concern.about) == ("no_progress", batch.bid)
    assert "2 objects remaining" in concern.what
    assert concern.since
    assert abs(concern.since - (timezone.now() - 3 * HOUR)) < HOUR / 60
    IngestCount.objects.filter(number=3).update(remaining=1)
    assert kinds() == []


def test_uploads_that_were_cut_off_and_uncertain_records_are_told(shelf: Shelf) -> None:
    shelf.batch("plc", "a", "b")
    Batch.objects.update(upload_finished=None, upload_started=timezone.now())
    BatchRecord.objects.update(upload_outcome=UploadOutcome.UNCERTAIN)
    assert kinds() == ["upload_cut_off", "records_uncertain"]
    Batch.objects.update(upload_owner="t", upload_heartbeat=timezone.now())
    assert kinds() == ["records_uncertain"], "it runs"
    Batch.objects.update(archived_at=timezone.now())
    assert kinds() == []


@pytest.mark.parametrize("away", [True, False])
def test_a_bucket_that_vanished_is_no_empty_bucket(shelf: Shelf, *, away: bool) -> None:
    batch = shelf.batch("plc", "a")
    if away:
        shutil.rmtree(shelf.bucket)
    else:
        shelf.ingest(batch, "a")
    tasks.count_batches()
    batch.refresh_from_db()
    assert batch.status == (BatchStatus.UPLOADED if away else BatchStatus.INGESTED)


def test_what_follows_a_result_is_done_by_the_jobs_too(
    shelf: Shelf, logs: LogsSandbox, log_group: str, tmp_path: Path
) -> None:
    batch = shelf.batch("plc", "a", "b")
    Batch.objects.update(ingest_start_time=timezone.now())
    (key,) = BatchRecord.objects.filter(identifier="a").values_list("key", flat=True)
    at = round(timezone.now().timestamp() * 1000)
    said = [*lines_of(key or "", at, "r"), line("ERROR", at, "r", "Exception: 409")]
    logs.put(log_group, [("s", at, text) for text in said])
    logs.faults({"kind": "status", "status": 400, "code": "ThrottlingException"})
    for _ in range(ENOUGH + 1):
        tasks.count_batches()
        the_spacing_passes()
    assert sorted(kinds()) == ["batch_errors", "log_unread"]
    report = report_path(batch)
    assert report.read_text().count(",failure,\n") == 2
    logs.clear_faults()
    Batch.objects.update(counted_at=timezone.now() - HOUR)
    tasks.count_batches()
    assert kinds() == ["batch_errors"], "the log is read with the next count"
    assert ",failure,409\n" in report.read_text()
    shelf.ingest(batch, "a", "b")
    Batch.objects.update(counted_at=timezone.now() - HOUR)
    tasks.count_batches()
    assert kinds() == []
    assert not report.exists()
    assert [one.name.startswith("ingest_report_") for one in report.parent.iterdir()] == [True]


def test_a_report_that_can_not_be_written_is_told_until_it_is(shelf: Shelf, settings: Settings, tmp_path: Path) -> None:
    batch = shelf.batch("plc", "a")
    settings.REPORTS_DIR = tmp_path / "elsewhere"
    (tmp_path / "elsewhere").write_text("a file where the folder should be")
    for _ in range(ENOUGH + 1):
        tasks.count_batches()
        the_spacing_passes()
    assert sorted(kinds()) == ["batch_errors", "check_failing"]
    (tmp_path / "elsewhere").unlink()
    Batch.objects.update(counted_at=timezone.now() - HOUR)
    tasks.count_batches()
    assert kinds() == ["batch_errors"]
    assert report_path(batch).exists()
