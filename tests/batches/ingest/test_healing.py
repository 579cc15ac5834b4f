"""Healing: objects that vanish after the result turn their records to success, one count a tick, and never the reverse."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db.models import F

from batches.choices import BatchStatus, CheckKind, UploadOutcome, Verdict
from batches.ingest.finalize import finalize
from batches.ingest.healing import HealResult, batches_to_heal, heal, healing_ends_at
from batches.ingest.rule import CheckOptions
from batches.ingest.scheduled import count_once
from batches.keys import encode
from batches.lifecycle.clear import clear
from batches.lifecycle.rollback import rollback_ingest
from batches.models import Batch, BatchRecord, IngestCheck, IngestCount
from batches.reports.ingest_report import report_path
from core.exceptions import OperationRefused
from objectstores.base import StoreError
from tests.support.failing_database import each_failing_write

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.support.folder_batch import FolderBatch, Seed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ended(folder_batch: Seed) -> FolderBatch:
    """Four records, of which one is ingested and three are left."""
    made = folder_batch("plc", ["a", "b", "c", "d"])
    made.ingest("a")
    return with_result(made)


def with_result(made: FolderBatch) -> FolderBatch:
    for _ in range(3):
        count_once(made.fresh(), CheckOptions(0, 1, 1))
    finalize(made.fresh())
    made.batch = made.fresh()
    assert made.batch.status == BatchStatus.INGESTED
    return made


def healed(made: FolderBatch) -> HealResult:
    found = heal(made.fresh())
    assert found
    return found


def numbers(made: FolderBatch) -> tuple[int | None, int | None]:
    batch = made.fresh()
    return batch.ingest_errs, batch.ingest_oks


def test_objects_that_vanish_later_turn_their_records_to_success_and_all_follows(ended: FolderBatch) -> None:
    BatchRecord.objects.filter(identifier="b").update(ingest_message="409 Client Error")
    BatchRecord.objects.filter(identifier="c").update(ingest_candidate="perhaps this")
    ended.ingest("b", "c")
    found = healed(ended)
    assert (found.healed, found.reappeared, found.check.verdict) == (2, 0, Verdict.COMPLETE_WITH_ERRORS)
    assert numbers(ended) == (1, 3)
    assert ended.outcomes() == {"a": "success", "b": "success", "c": "success", "d": "failure"}
    seen = IngestCount.objects.order_by("-counted_at")[0].counted_at
    assert (ended.record("b").healed_at, ended.record("a").healed_at) == (seen, None)
    assert ended.record("b").ingest_message == "Failed at first: 409 Client Error"
    batch = ended.fresh()
    assert (batch.ingest_complete_time, batch.ingest_done_at) == (seen, ended.batch.ingest_done_at)
    assert batch.ingest_start_time
    assert batch.ingest_duration == seen - batch.ingest_start_time
    report = finalize(batch).report
    assert report
    assert [line.split(",")[3:] for line in report.read_text().splitlines()[1:]] == [
        ["success", ""],
        ["success", "Failed at first: 409 Client Error"],
        ["success", ""],
        ["failure", ""],
    ]


def test_the_history_shows_both_results(ended: FolderBatch) -> None:
    ended.ingest("b")
    healed(ended)
    ended.ingest("c", "d")
    healed(ended)
    rows = IngestCheck.objects.order_by("finished_at").values_list("kind", "verdict", "remaining", "ingest_oks")
    assert list(rows) == [
        (CheckKind.TICK, Verdict.COMPLETE_WITH_ERRORS, 3, 1),
        (CheckKind.HEAL, Verdict.COMPLETE_WITH_ERRORS, 2, 2),
        (CheckKind.HEAL, Verdict.COMPLETE, 0, 4),
    ]


def test_while_nothing_changes_each_count_is_kept_and_no_record_is_touched(ended: FolderBatch) -> None:
    before = list(BatchRecord.objects.values())
    for _ in range(3):
        found = healed(ended)
        assert (found.healed, found.check.verdict) == (0, None)
    assert list(BatchRecord.objects.values()) == before
    row = IngestCheck.objects.get(kind=CheckKind.HEAL)
    assert list(row.counts.order_by("number").values_list("number", "remaining")) == [(1, 3), (2, 3), (3, 3)]
    ended.ingest("b")
    assert healed(ended).check.pk == row.pk, "the watching goes on until it changes the result"


def test_when_nothing_is_left_the_last_report_is_kept_under_its_time(ended: FolderBatch) -> None:
    report = report_path(ended.batch)
    last = report.read_bytes()
    ended.ingest("b", "c", "d")
    assert healed(ended).check.verdict == Verdict.COMPLETE
    assert finalize(ended.fresh()).report is None
    assert not report.exists()
    done = ended.batch.result_changed_at
    assert done
    (kept,) = report.parent.iterdir()
    assert kept.name == f"ingest_report_{done:%Y%m%dT%H%M%SZ}.csv"
    assert kept.read_bytes() == last
    assert heal(ended.fresh()) is None, "there is nothing more to watch"


def test_never_the_reverse_an_object_that_is_put_again_changes_nothing(ended: FolderBatch) -> None:
    ended.put("a", "stray")
    found = healed(ended)
    assert (found.healed, found.reappeared) == (0, 1)
    assert numbers(ended) == (3, 1)
    assert ended.outcomes()["a"] == "success"
    ended.ingest("b")
    assert healed(ended).healed == 1
    assert numbers(ended) == (2, 2)
    assert ended.outcomes() == {"a": "success", "b": "success", "c": "failure", "d": "failure"}
    ended.put("b")
    assert healed(ended).reappeared == 2
    assert ended.outcomes()["b"] == "success"
    assert numbers(ended) == (2, 2)


def test_objects_of_other_batches_are_nothing_to_it(ended: FolderBatch) -> None:
    other = ended.folder / encode("plcx", "/collectionobjects", "b", "CREATE")
    other.write_text("<xml/>")
    assert healed(ended).healed == 0
    other.unlink()
    assert healed(ended).healed == 0
    assert numbers(ended) == (3, 1)


def test_objects_that_no_record_knows_count_until_they_are_gone(folder_batch: Seed) -> None:
    made = folder_batch("plc", ["a", "b"])
    made.put("x", "y")
    with_result(made)
    assert numbers(made) == (4, 0)
    made.ingest("x", "a")
    assert healed(made).healed == 1
    assert numbers(made) == (2, 2)
    made.put("new1", "new2", "new3")
    made.ingest("b")
    assert healed(made).healed == 1
    assert numbers(made) == (1, 2)


def test_what_was_cleared_is_gone_and_no_success(ended: FolderBatch) -> None:
    clear(ended.fresh(), who="me")
    found = healed(ended)
    assert found.healed == 0
    assert ended.outcomes() == {"a": "success", "b": "failure", "c": "failure", "d": "failure"}
    assert ended.record("b").upload_outcome == UploadOutcome.CLEARED
    assert list(batches_to_heal()) == []
    report = finalize(ended.fresh()).report
    assert report
    assert report.read_text().count(",cleared,") == 3, "the report follows, too"


def test_a_count_that_fails_heals_nothing(ended: FolderBatch) -> None:
    healed(ended)
    away = ended.folder.rename(ended.folder.with_name("away"))
    with pytest.raises(StoreError):
        heal(ended.fresh())
    away.rename(ended.folder)
    assert numbers(ended) == (3, 1)
    assert IngestCheck.objects.get(kind=CheckKind.HEAL).problem
    assert healed(ended).check.counts.count() == 1


def test_a_healing_that_dies_while_it_writes_leaves_nothing_half_done_and_the_next_one_does_it(
    ended: FolderBatch,
) -> None:
    BatchRecord.objects.update(ingest_message="why")
    ended.ingest("b")
    before = list(BatchRecord.objects.values()), numbers(ended), IngestCount.objects.count()
    failed = []
    for statement in each_failing_write(lambda: healed(ended)):
        failed.append(statement)
        assert (list(BatchRecord.objects.values()), numbers(ended), IngestCount.objects.count()) == before, statement
    assert len(failed) > 5
    assert ended.outcomes() == {"a": "success", "b": "success", "c": "failure", "d": "failure"}
    assert numbers(ended) == (2, 2)


def test_a_report_that_was_not_written_any_more_follows_the_next_time(ended: FolderBatch) -> None:
    ended.ingest("b")
    healed(ended)
    # It dies here: the result is written, the report is not.
    old = report_path(ended.batch).read_bytes()
    assert finalize(ended.fresh()).report
    new = report_path(ended.batch).read_bytes()
    assert new != old
    finalize(ended.fresh())
    assert report_path(ended.batch).read_bytes() == new


def test_a_result_that_is_taken_back_meanwhile_is_not_healed(ended: FolderBatch) -> None:
    stale = ended.fresh()
    rollback_ingest(ended.fresh(), who="me")
    ended.ingest("b")
    with pytest.raises(OperationRefused, match="undone"):
        heal(stale)
    assert ended.fresh().status == BatchStatus.UPLOADED
    assert set(ended.outcomes().values()) == {None}
    with pytest.raises(OperationRefused, match="has no result yet"):
        heal(ended.fresh())


def test_a_result_that_was_not_counted_here_is_not_healed(ended: FolderBatch) -> None:
    IngestCount.objects.all().delete()
    IngestCheck.objects.all().delete()
    ended.ingest("b")
    with pytest.raises(OperationRefused, match="not counted here"):
        heal(ended.fresh())


def test_it_is_watched_for_a_set_time_and_not_when_archived(ended: FolderBatch, settings: Settings) -> None:
    assert list(batches_to_heal()) == [ended.batch]
    settings.HEAL_HOURS = 1
    end = healing_ends_at(ended.fresh())
    assert end
    assert ended.batch.ingest_done_at
    assert end - ended.batch.ingest_done_at == timedelta(hours=1)
    Batch.objects.update(ingest_done_at=F("ingest_done_at") - timedelta(hours=2))
    assert list(batches_to_heal()) == []
    settings.HEAL_HOURS = 24
    assert list(batches_to_heal()) == [ended.batch]
    Batch.objects.update(archived_at=F("ingest_done_at"))
    assert list(batches_to_heal()) == []
    with pytest.raises(OperationRefused, match="archived"):
        heal(ended.fresh())


def test_two_ticks_at_once_are_one_count(ended: FolderBatch) -> None:
    Batch.objects.update(counted_at=None)
    assert heal(ended.fresh(), spacing=60)
    assert heal(ended.fresh(), spacing=60) is None
