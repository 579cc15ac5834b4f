"""The scheduled check: one count a tick, judged by the stored counts, however often and whenever the job runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from batches.choices import BatchStatus, CheckKind, Verdict
from batches.ingest.rule import CheckOptions
from batches.ingest.scheduled import count_once
from batches.lifecycle.rollback import rollback_ingest
from batches.models import Batch, IngestCheck, IngestCount
from core.exceptions import OperationRefused
from objectstores.base import StoreError
from tests.support.failing_database import each_failing_write

if TYPE_CHECKING:
    from tests.support.folder_batch import FolderBatch, Seed

pytest_plugins = ["tests.support.folder_batch"]
pytestmark = pytest.mark.django_db(transaction=True)


def ticked(made: FolderBatch, *, checks: int = 9, rechecks: int = 2) -> IngestCheck | None:
    """A tick of a new process, when it is time for one."""
    return count_once(made.fresh(), CheckOptions(0, checks, rechecks))


def test_each_tick_is_one_count_and_the_last_one_brings_the_result(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a", "b", "c"])
    verdicts = []
    for number in range(5):
        if number == 1:
            made.ingest("a")
        row = ticked(made)
        assert row
        verdicts.append(row.verdict)
        assert IngestCount.objects.count() == number + 1
    assert verdicts == [None, None, None, None, Verdict.COMPLETE_WITH_ERRORS]
    check = IngestCheck.objects.get()
    counts = list(check.counts.order_by("number").values_list("remaining", "counted_at"))
    assert [remaining for remaining, _ in counts] == [3, 2, 2, 2, 2]
    assert (check.kind, check.asked_by, check.ingest_oks) == (CheckKind.TICK, "schedule", 1)
    batch = made.fresh()
    assert (batch.status, batch.ingest_errs, batch.ingest_oks) == (BatchStatus.INGESTED, 2, 1)
    assert batch.ingest_complete_time == counts[1][1], "it ended when the final count was first seen"
    assert batch.ingest_done_at == counts[4][1]
    assert made.outcomes() == {"a": "success", "b": "failure", "c": "failure"}
    assert ticked(made) is None, "a batch with its result is not counted"


def test_after_a_verdict_that_it_goes_on_the_next_tick_begins_another_check(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a", "b", "c"])
    for one in ("a", "b"):
        ticked(made, checks=1)
        made.ingest(one)
        row = ticked(made, checks=1)
        assert row
        assert row.verdict == Verdict.IN_PROGRESS
    assert IngestCheck.objects.count() == 2
    made.ingest("c")
    row = ticked(made)
    assert row
    assert row.verdict == Verdict.COMPLETE


def test_a_tick_that_comes_twice_or_too_early_counts_nothing(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a"])
    assert count_once(made.fresh(), CheckOptions(60, 9, 2))
    assert count_once(made.fresh(), CheckOptions(60, 9, 2)) is None
    assert IngestCount.objects.count() == 1


def test_a_count_that_fails_is_no_count_and_the_next_tick_begins_anew(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a"])
    ticked(made)
    ticked(made)
    away = made.folder.rename(made.folder.with_name("away"))
    with pytest.raises(StoreError):
        ticked(made)
    away.rename(made.folder)
    ended = IngestCheck.objects.get()
    assert ended.verdict is None
    assert ended.problem
    assert ended.counts.count() == 2
    row = ticked(made)
    assert row
    assert (row.pk != ended.pk, row.counts.count()) == (True, 1)
    assert made.fresh().status == BatchStatus.UPLOADED


def test_counts_of_an_earlier_upload_or_of_a_result_taken_back_are_not_fed_again(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a"])
    ticked(made)
    ticked(made)
    Batch.objects.update(upload_runs=2, upload_finished=IngestCheck.objects.get().finished_at)
    row = ticked(made)
    assert row
    assert row.counts.count() == 1
    for _ in range(3):
        ticked(made)
    assert made.fresh().status == BatchStatus.INGESTED
    rollback_ingest(made.fresh(), who="me")
    row = ticked(made)
    assert row
    assert (row.verdict, row.counts.count()) == (None, 1)


def test_what_can_not_be_checked_is_refused_and_nothing_is_counted(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a"])
    Batch.objects.update(upload_finished=None)
    with pytest.raises(OperationRefused, match="unfinished"):
        ticked(made)
    assert made.fresh().counted_at is None


def test_a_tick_that_dies_while_it_writes_the_result_leaves_none_and_the_next_one_does_it(
    folder_batch: Seed,
) -> None:
    made = folder_batch("plc", ["a", "b"])
    for _ in range(3):
        ticked(made)
    failed = []
    for statement in each_failing_write(lambda: ticked(made)):
        failed.append(statement)
        assert made.fresh().status == BatchStatus.UPLOADED, statement
        assert made.outcomes() == {"a": None, "b": None}, statement
        assert IngestCount.objects.count() == 3, statement
    assert len(failed) > 4
    assert IngestCheck.objects.get().verdict == Verdict.COMPLETE_WITH_ERRORS
    assert made.outcomes() == {"a": "failure", "b": "failure"}


def test_a_batch_of_which_everything_is_uncertain_ends_and_no_record_is_called_a_success(folder_batch: Seed) -> None:
    made = folder_batch("plc", [], uncertain=["a", "b"])
    row = ticked(made)
    assert row
    assert row.verdict == Verdict.COMPLETE
    batch = made.fresh()
    assert (batch.status, batch.ingest_oks, batch.ingest_errs, batch.upload_errs) == (BatchStatus.INGESTED, 0, 0, 2)
    assert made.outcomes() == {"a": "uncertain", "b": "uncertain"}


def test_a_batch_that_was_uploaded_by_a_clock_that_was_ahead_has_no_duration(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a"])
    Batch.objects.update(ingest_start_time=timezone.now() + timedelta(days=1))
    made.ingest("a")
    for _ in range(3):
        ticked(made)
    batch = made.fresh()
    assert (batch.status, batch.ingest_duration) == (BatchStatus.INGESTED, None)
