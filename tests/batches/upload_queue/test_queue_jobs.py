"""The upload queue worked through by the background jobs, and what stops it, pauses it and resumes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from batches import tasks
from batches.choices import BatchState, BatchStatus, StepKind
from batches.concerns import batch_concerns
from batches.lifecycle import rollback
from batches.models import Batch, BatchRecord, BatchStep
from batches.querysets import batches_with_state
from batches.upload.lock import UploadLock
from batches.upload.run import upload_batch
from batches.upload_queue import entries
from batches.upload_queue.run import read_queue, upload_queued, upload_slice
from core.daily_hours import DailyHours
from core.exceptions import OperationRefused

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.support.shelf import Shelf

pytestmark = pytest.mark.django_db

Run = Callable[..., tuple[int, str]]
Mapped = Callable[..., Batch]


@pytest.fixture
def mapped(shelf: Shelf) -> Mapped:
    """Makes a batch that waits for its upload, with so many records."""

    def make(bid: str, records: int = 3) -> Batch:
        batch = shelf.batch(bid, *(f"{bid}{n}" for n in range(records)))
        shelf.ingest(batch, *(f"{bid}{n}" for n in range(records)))
        unset = ("store_url", "upload_oks", "upload_errs", "uploaded_at", "upload_started", "upload_finished")
        Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.MAPPED, **dict.fromkeys(unset))
        BatchRecord.objects.filter(batch=batch).update(upload_outcome="pending")
        batch.refresh_from_db()
        return batch

    return make


def end(batch: Batch, remaining: int = 0) -> None:
    """Its ingest ends, as a check would write it."""
    oks = Batch.objects.get(pk=batch.pk).upload_oks or 0
    result = {"ingest_errs": remaining, "ingest_oks": oks - remaining, "ingest_done_at": timezone.now()}
    Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.INGESTED, **result)


def hours(begin: timedelta, length: timedelta) -> DailyHours:
    now = timezone.localtime()
    return DailyHours.parse(f"{now + begin:%H:%M}-{now + begin + length:%H:%M}")


HOUR = timedelta(hours=1)


def statuses() -> dict[str, str]:
    return dict(Batch.objects.order_by("bid").values_list("bid", "status"))


def kinds() -> list[str]:
    return [concern.kind for concern in batch_concerns()]


def test_the_job_uploads_one_batch_after_the_other_each_after_the_ingest_of_the_one_before(
    mapped: Mapped, shelf: Shelf
) -> None:
    batches = [mapped("b1"), mapped("a2")]
    for batch in batches:
        assert entries.queue_batch(batch, who="alice")
    assert not entries.queue_batch(batches[0], who="bob")
    assert tasks.upload_queued() == "b1: 3 success"
    assert statuses() == {"b1": "uploaded", "a2": "mapped"}
    assert tasks.upload_queued() == "no batch to upload from this machine now"
    end(batches[0])
    assert tasks.upload_queued() == "a2: 3 success"
    end(batches[1])
    assert tasks.upload_queued() == "no batch waits for its upload"
    assert not Batch.objects.exclude(queued_at=None, queued_by=None, queue_stop=None)
    assert OrmQ.objects.count() == 0
    steps = BatchStep.objects.filter(batch=batches[0]).order_by("pk").values_list("kind", "who")
    assert list(steps) == [(StepKind.QUEUE, "alice"), (StepKind.UPLOAD, "alice")]
    assert len(shelf.left()) == 6


def test_at_once_says_how_many_are_uploaded_or_ingested(mapped: Mapped) -> None:
    for bid in ("a", "b", "c"):
        entries.queue_batch(mapped(bid), who="alice")
    for expected in ("a", "b"):
        batch = read_queue().next_batch(2)
        assert str(batch) == expected
        assert batch
        assert upload_queued(batch)
    assert read_queue().next_batch(2) is None
    assert str(read_queue().next_batch(3)) == "c"


def test_a_time_slice_ends_after_what_is_in_flight_and_the_next_one_continues(
    mapped: Mapped, settings: Settings
) -> None:
    entries.queue_batch(mapped("plc", 60), who="alice")
    settings.JOB_STRETCH = -1
    assert tasks.upload_queued() == "plc: 60 pending"
    assert [package.func() for package in OrmQ.objects.all()] == ["batches.tasks.upload_queued"]
    (paused,) = batches_with_state()
    assert (paused.state, paused.upload_owner) == (BatchState.PAUSED, None)  # type: ignore[attr-defined]
    assert kinds() == []
    asked = iter([False, False, True])
    done, has_more = upload_slice(60, lambda: next(asked, True))
    assert not has_more, "it was told to stop, so the schedule begins the next one"
    outcomes = dict.fromkeys(BatchRecord.objects.values_list("upload_outcome", flat=True))
    assert set(outcomes) <= {"pending", "success"}, done
    settings.JOB_STRETCH = 60
    assert tasks.upload_queued() == "plc: 60 success"
    assert BatchStep.objects.filter(kind=StepKind.UPLOAD).count() == 3


def test_outside_of_its_hours_nothing_is_sent_and_an_upload_that_runs_is_paused(
    mapped: Mapped, settings: Settings, run: Run
) -> None:
    plc = mapped("plc")
    entries.queue_batch(plc, who="alice")
    settings.UPLOAD_HOURS = hours(2 * HOUR, HOUR)
    assert tasks.upload_queued().startswith("waits for UPLOAD_HOURS until ")
    assert statuses() == {"plc": "mapped"}
    result = upload_queued(plc)
    assert result
    assert (result.is_paused, result.unfinished) == (True, 3)
    assert "UPLOAD_HOURS" in (BatchStep.objects.get(kind=StepKind.UPLOAD).note or "")
    assert read_queue().stops == []
    status, said = run("batch", "queue")
    assert (status, "Waiting until" in said, "upload paused" in said) == (0, True, True)
    settings.UPLOAD_HOURS = hours(-HOUR, 2 * HOUR)
    assert tasks.upload_queued() == "plc: 3 success"


def test_a_single_upload_does_not_wait_and_says_so(mapped: Mapped, settings: Settings, run: Run) -> None:
    mapped("plc")
    settings.UPLOAD_HOURS = hours(2 * HOUR, HOUR)
    status, said = run("batch", "upload", "plc")
    assert (status, "It is outside of UPLOAD_HOURS" in said) == (0, True)
    assert statuses() == {"plc": "uploaded"}


@pytest.mark.parametrize(
    ("share", "remaining", "stops"), [(0.1, 1, False), (0.1, 2, True), (0, 0, False), (0, 1, True), (1, 10, False)]
)
def test_the_queue_stops_at_a_batch_of_which_too_large_a_part_failed(
    mapped: Mapped, settings: Settings, share: float, remaining: int, stops: bool
) -> None:
    settings.UPLOAD_STOP_SHARE = share
    bad, good = mapped("bad", 10), mapped("good")
    for batch in (bad, good):
        entries.queue_batch(batch, who="alice")
    tasks.upload_queued()
    end(bad, remaining)
    said = tasks.upload_queued()
    bad.refresh_from_db()
    assert bad.queued_at is None
    if not stops:
        assert (said, bad.queue_stop) == ("good: 3 success", None)
        return
    assert said == "stopped at bad"
    text = f"{remaining} of 10 records failed (0 not uploaded, {remaining} not ingested)"
    assert (bad.queue_stop or "").startswith(text)
    assert "upload_queue_stopped" in kinds()
    assert [str(batch) for batch in entries.resume_queue()] == ["bad"]
    assert tasks.upload_queued() == "good: 3 success"
    assert "upload_queue_stopped" not in kinds()


def test_records_that_are_not_uploaded_count_too_and_hold_the_next_batch_back_before_the_ingest_has_ended(
    mapped: Mapped, shelf: Shelf
) -> None:
    bad, good = mapped("bad", 4), mapped("good")
    for row in (2, 3):
        (shelf.files / "bad" / f"{row}.xml").unlink()
    for batch in (bad, good):
        entries.queue_batch(batch, who="alice")
    assert tasks.upload_queued() == "bad: 2 success, 2 unuploadable"
    assert read_queue().next_batch(5) is None
    end(bad)
    assert tasks.upload_queued() == "stopped at bad"
    bad.refresh_from_db()
    assert (bad.queue_stop or "").startswith("2 of 4 records failed (2 not uploaded, 0 not ingested)")


def test_a_batch_of_which_nothing_arrives_leaves_the_queue_and_stops_it(mapped: Mapped, shelf: Shelf) -> None:
    bad, good = mapped("bad"), mapped("good")
    for batch in (bad, good):
        entries.queue_batch(batch, who="alice")
    for path in (shelf.files / "bad").iterdir():
        path.write_text("")
    assert tasks.upload_queued() == "bad: 3 unuploadable"
    bad.refresh_from_db()
    assert (bad.queued_at, bad.status) == (None, "mapped")
    assert [str(batch) for batch in read_queue().stops] == ["bad"]
    entries.resume_queue()
    assert tasks.upload_queued() == "good: 3 success"


def test_an_upload_that_can_not_go_on_stops_the_queue_and_stays_in_it(
    mapped: Mapped, shelf: Shelf, run: Run, settings: Settings
) -> None:
    entries.queue_batch(mapped("plc"), who="alice")
    settings.BATCH_STORE_URL = "file:///no/store"
    assert tasks.upload_queued() == "plc not uploaded"
    plc = Batch.objects.get()
    assert plc.queued_at
    assert plc.queue_stop
    assert kinds() == ["upload_queue_stopped"]
    assert tasks.upload_queued() == "stopped at plc"
    settings.BATCH_STORE_URL = shelf.bucket.as_uri()
    status, said = run("batch", "queue")
    assert (status, said.startswith("Stopped at plc: ")) == (0, True)
    assert run("batch", "queue", "--resume") == (0, "Queue resumed: it had stopped at plc.\n")
    assert run("batch", "queue", "--resume") == (0, "The queue was not stopped.\n")
    assert tasks.upload_queued() == "plc: 3 success"


def test_a_batch_that_is_being_uploaded_is_left_alone_and_counts_as_running(mapped: Mapped) -> None:
    plc, mat = mapped("plc"), mapped("mat")
    for batch in (plc, mat):
        entries.queue_batch(batch, who="alice")
    lock = UploadLock(plc)
    lock.acquire()
    assert tasks.upload_queued() == "no batch to upload from this machine now"
    # Somebody who read the queue before.
    assert upload_queued(Batch.objects.get(bid="plc")) is None
    assert read_queue().stops == []
    plc.release_upload(lock.token)
    assert tasks.upload_queued() == "plc: 3 success"


def test_a_batch_whose_files_another_machine_has_is_left_to_it(mapped: Mapped, shelf: Shelf) -> None:
    plc, mat = mapped("plc"), mapped("mat")
    for batch in (plc, mat):
        entries.queue_batch(batch, who="alice")
    shutil.rmtree(shelf.files / "plc")
    assert tasks.upload_queued() == "mat: 3 success"
    end(mat)
    assert tasks.upload_queued() == "no batch to upload from this machine now"
    with pytest.raises(OperationRefused, match="The files of plc are not on this machine"):
        entries.ensure_queueable(plc)


def test_what_is_undone_or_archived_leaves_the_queue(mapped: Mapped, shelf: Shelf) -> None:
    plc = mapped("plc")
    entries.queue_batch(plc, who="alice")
    tasks.upload_queued()
    for path in shelf.bucket.iterdir():
        path.unlink()
    plc.refresh_from_db()
    rollback.rollback_upload(plc, who="alice")
    assert read_queue().waiting == []
    mat = mapped("mat")
    entries.queue_batch(mat, who="alice")
    mat.stop_queue("the store is away")
    assert mat.archive()
    mat.unarchive()
    queue = read_queue()
    assert (queue.waiting, queue.stops) == ([], [])


def test_a_batch_is_taken_out_by_its_id(mapped: Mapped, run: Run) -> None:
    for bid in ("plc", "mat"):
        entries.queue_batch(mapped(bid), who="alice")
    assert run("batch", "queue", "--remove", "plc") == (0, "plc removed from the queue.\n")
    status, said = run("batch", "queue", "--remove", "plc")
    assert (status, said) == (1, "plc is not queued for upload.")
    status, said = run("batch", "queue")
    assert (status, [line.split()[0] for line in said.splitlines()]) == (0, ["id", "mat"])
    status, said = run("batch", "queue", "--json")
    assert '"queued_by": "alice"' in said
    kind, who = BatchStep.objects.filter(batch__bid="plc").values_list("kind", "who").last() or ("", "")
    assert (kind, bool(who)) == (StepKind.UNQUEUE, True)


def test_a_single_upload_of_a_queued_batch_is_followed_by_the_queue(mapped: Mapped) -> None:
    plc, mat = mapped("plc"), mapped("mat")
    for batch in (plc, mat):
        entries.queue_batch(batch, who="alice")
    upload_batch(plc)
    assert tasks.upload_queued() == "no batch to upload from this machine now"
    end(plc)
    assert tasks.upload_queued() == "mat: 3 success"


def test_every_folder_is_looked_for_by_its_first_files(mapped: Mapped, shelf: Shelf) -> None:
    plc = mapped("plc", 12)
    assert entries.files_are_here(plc)
    for row in range(1, 11):
        (Path(shelf.files) / "plc" / f"{row}.xml").unlink()
    assert not entries.files_are_here(plc)
    BatchRecord.objects.update(upload_outcome="success")
    assert entries.files_are_here(plc), "nothing is left to send"
