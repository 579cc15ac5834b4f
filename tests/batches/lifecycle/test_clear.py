"""`batch objects` and `batch clear`: what is left of one batch, and of no other."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from batches.ingest.check import check
from batches.ingest.healing import batches_to_heal, heal
from batches.ingest.rule import CheckOptions
from batches.lifecycle.clear import GROUP_SIZE, clear
from batches.lifecycle.rollback import rollback_ingest
from batches.models import Batch, BatchStep
from core.exceptions import OperationRefused
from objectstores.base import Denied, StoreError
from objectstores.folder import FolderStore

if TYPE_CHECKING:
    from tests.support.shelf import Shelf

pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]


def test_what_is_left_is_listed_decoded_and_of_this_batch_alone(shelf: Shelf, run: Run) -> None:
    shelf.batch("a1", "x|1", "é\n")
    shelf.batch("a1b", "y")
    (shelf.bucket / "YTF8____").write_text("no key")
    status, said = run("batch", "objects", "a1")
    assert status == 0
    assert "x|1         /collectionobjects  CREATE      6" in said
    assert "é\\n" in said
    assert said.endswith("2 objects of a1 remaining.\n")
    found = json.loads(run("batch", "objects", "a1", "--json")[1])
    assert {one["identifier"] for one in found} == {"x|1", "é\n"}
    assert {one["key"] for one in found} == {shelf.key("a1", "x|1"), shelf.key("a1", "é\n")}
    rows = list(csv.DictReader(run("batch", "objects", "a1", "--csv")[1].splitlines(keepends=True)))
    assert sorted(row["identifier"] for row in rows) == ["x|1", "é\n"]
    assert int(rows[0]["age_seconds"]) < 3600


def test_nothing_left_is_said_and_is_an_empty_list(shelf: Shelf, run: Run) -> None:
    shelf.batch("plc")
    assert run("batch", "objects", "plc") == (0, "0 objects of plc remaining.\n")
    assert json.loads(run("batch", "objects", "plc", "--json")[1]) == []
    assert run("batch", "clear", "plc", "--even-if-ingesting", "--yes")[1].startswith(
        "No objects of plc remain in file:"
    )
    assert list(shelf.reports.rglob("*.csv")) == []


def test_clear_deletes_this_batch_alone_and_keeps_a_csv_of_it(shelf: Shelf, run: Run) -> None:
    batch = shelf.batch("a1", "x", "y", "z")
    shelf.batch("a1b", "x")
    stranger = shelf.key("a1", "nobody's record")
    for name in (stranger, "YTF8____"):
        (shelf.bucket / name).write_text("<xml/>")
    shelf.ingest(batch, "x")
    assert check(batch, CheckOptions(sleep=0), asked_by="me").remaining == 3
    status, said = run("batch", "clear", "a1", "--yes")
    assert status == 0, said
    assert "3 objects of a1 remaining in file:" in said
    assert "a1: 3 objects deleted, of 2 records." in said
    assert shelf.left() == {shelf.key("a1b", "x"), "YTF8____"}
    assert shelf.outcomes(batch) == ["success", "cleared", "cleared"]
    (kept,) = (shelf.reports / "a1").glob("cleared_*.csv")
    with kept.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == sorted([stranger, shelf.key("a1", "y"), shelf.key("a1", "z")])
    step = BatchStep.objects.get(kind="clear")
    assert (step.touched, step.ended_at is not None, kept.name in (step.note or "")) == (3, True, True)


@pytest.mark.parametrize("options", [["--dry-run"], []])
def test_it_shows_first_and_deletes_nothing_for_show_or_unasked(shelf: Shelf, run: Run, options: list[str]) -> None:
    batch = shelf.batch("plc", "x")
    status, said = run("batch", "clear", "plc", "--even-if-ingesting", *options)
    assert status == (0 if options else 1)
    assert "x (CREATE /collectionobjects, 6 bytes)" in said
    assert shelf.left() == {shelf.key("plc", "x")}
    assert shelf.outcomes(batch) == ["success"]


def test_a_deleted_object_is_never_taken_for_an_ingested_one(shelf: Shelf) -> None:
    batch = shelf.batch("plc", "x", "y")
    shelf.ingest(batch, "x")
    check(batch, CheckOptions(sleep=0), asked_by="me")
    clear(batch, who="me")
    assert (batch.upload_oks, batch.upload_errs, batch.ingest_errs) == (2, 0, 1), "the result stands"
    rollback_ingest(batch, who="me")
    assert (batch.upload_oks, batch.upload_errs) == (1, 1)
    result = check(batch, CheckOptions(sleep=0), asked_by="me")
    assert (result.verdict, batch.ingest_oks, batch.ingest_errs) == ("complete", 1, 0)
    rollback_ingest(batch, who="me")
    assert (batch.upload_oks, batch.upload_errs) == (1, 1), "what was deleted is lost once"
    check(batch, CheckOptions(sleep=0), asked_by="me")
    found = dict(batch.records.values_list("identifier", "ingest_outcome"))
    assert found == {"x": "success", "y": "failure"}
    assert "deleted by `batch clear`" in (batch.records.get(identifier="y").ingest_message or "")


def test_what_was_deleted_does_not_heal(shelf: Shelf) -> None:
    batch = shelf.batch("plc", "x", "y")
    stranger = shelf.key("plc", "nobody's record")
    (shelf.bucket / stranger).write_text("<xml/>")
    check(batch, CheckOptions(sleep=0), asked_by="me")
    assert [one.bid for one in batches_to_heal()] == ["plc"]
    clear(batch, who="me")
    assert list(batches_to_heal()) == []
    found = heal(batch)
    assert found
    assert found.healed == 0
    batch.refresh_from_db()
    assert (batch.ingest_errs, shelf.outcomes(batch)) == (3, ["cleared", "cleared"])


def test_a_check_that_is_under_way_while_objects_are_deleted_has_no_result(shelf: Shelf) -> None:
    batch = shelf.batch("plc", "x", "y")

    def meanwhile(_seconds: float) -> None:
        clear(type(batch).objects.get(bid="plc"), who="me", even_if_ingesting=True)

    with pytest.raises(OperationRefused, match="No result for plc"):
        check(batch, CheckOptions(sleep=1), asked_by="me", sleep=meanwhile)
    batch.refresh_from_db()
    assert (batch.status, batch.upload_oks, batch.upload_errs) == ("uploaded", 0, 2)
    assert shelf.outcomes(batch) == ["uncertain", "uncertain"]


def test_it_is_refused_while_the_ingest_may_go_on_during_an_upload_and_in_the_archive(shelf: Shelf) -> None:
    batch = shelf.batch("plc", "x")
    with pytest.raises(
        OperationRefused, match=r"manage\.py ingstat plc` until it is complete, or use --even-if-ingesting"
    ):
        clear(batch, who="me")
    batch.upload_finished = None
    with pytest.raises(OperationRefused, match="upload of plc is unfinished"):
        clear(batch, who="me")
    batch.upload_owner, batch.upload_pid, batch.upload_host = "token", 7, "elsewhere"
    with pytest.raises(OperationRefused, match="being uploaded by process 7 on elsewhere"):
        clear(batch, who="me", even_if_ingesting=True)
    batch.archived_at = timezone.now()
    with pytest.raises(OperationRefused, match="batch archive plc --undo"):
        clear(batch, who="me", even_if_ingesting=True)
    assert shelf.left() == {shelf.key("plc", "x")}


def test_without_a_list_on_the_disk_nothing_is_deleted(shelf: Shelf, run: Run) -> None:
    batch = shelf.batch("plc", "x")
    (shelf.reports / "plc").write_text("a file where the folder should be")
    status, said = run("batch", "clear", "plc", "--even-if-ingesting", "--yes")
    assert (status, "Nothing was deleted" in said) == (1, True), said
    assert shelf.left() == {shelf.key("plc", "x")}
    assert shelf.outcomes(batch) == ["success"]


def test_a_bucket_that_can_not_be_listed_is_not_an_empty_one(shelf: Shelf, run: Run) -> None:
    batch = shelf.batch("plc", "x")
    (shelf.bucket / shelf.key("plc", "x")).unlink()
    Path(shelf.bucket).rmdir()
    with pytest.raises(StoreError):
        clear(batch, who="me", even_if_ingesting=True)
    status, said = run("batch", "objects", "plc")
    assert status == 1
    assert "0 objects" not in said


@pytest.mark.parametrize("deleted_first", [False, True])
def test_whenever_it_dies_no_record_of_a_deleted_object_counts_as_uploaded(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, *, deleted_first: bool
) -> None:
    batch = shelf.batch("plc", *(f"r{n:04}" for n in range(GROUP_SIZE + 20)))
    delete = FolderStore.delete

    def die(self: FolderStore, names: Iterable[str]) -> int:
        if deleted_first:
            delete(self, names)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            clear(batch, who="me", even_if_ingesting=True)
    sure = batch.records.filter(upload_outcome="success").values_list("key", flat=True)
    assert set(sure) <= shelf.left()
    assert BatchStep.objects.get(kind="clear").ended_at is None, "the history says that it was cut off"
    clear(Batch.objects.get(bid="plc"), who="me", even_if_ingesting=True)
    assert shelf.left() == set()
    batch.refresh_from_db()
    assert (batch.upload_oks, batch.upload_errs) == (0, GROUP_SIZE + 20)
    assert set(shelf.outcomes(batch)) == {"uncertain"}


@pytest.mark.parametrize("ingested", [True, False])
def test_objects_that_the_store_keeps_leave_their_records_as_they_were(
    shelf: Shelf, run: Run, monkeypatch: pytest.MonkeyPatch, *, ingested: bool
) -> None:
    batch = shelf.batch("plc", "x", "y", "z")
    if ingested:
        check(batch, CheckOptions(sleep=0), asked_by="me")
    kept = {shelf.key("plc", "x"), shelf.key("plc", "z")}
    delete = FolderStore.delete

    def refuse(self: FolderStore, names: Iterable[str]) -> int:
        delete(self, [name for name in names if name not in kept])
        error = Denied("s3://b, deleting 2 objects: 403 AccessDenied: object is WORM protected")
        error.refused = frozenset(kept)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "delete", refuse)
        status, said = run("batch", "clear", "plc", "--yes", *([] if ingested else ["--even-if-ingesting"]))
    assert status == 1
    assert "plc: 1 object deleted, of 1 record." in said
    assert "2 objects not deleted, their records are unchanged: s3://b, deleting 2 objects: 403 AccessDenied" in said
    assert "retention of the bucket (Object Lock)" in said
    assert shelf.left() == kept
    assert shelf.outcomes(batch) == ["success", "cleared" if ingested else "uncertain", "success"]
    batch.refresh_from_db()
    assert (batch.upload_oks, batch.upload_errs) == ((3, 0) if ingested else (2, 1))
    assert BatchStep.objects.get(kind="clear").touched == 1
    status, said = run("batch", "clear", "plc", "--yes", *([] if ingested else ["--even-if-ingesting"]))
    assert (status, shelf.left()) == (0, set())


def test_a_deletion_that_is_refused_as_a_whole_leaves_the_records_of_what_is_still_there(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = shelf.batch("plc", "x", "y")
    delete = FolderStore.delete

    def refuse_the_second(self: FolderStore, names: Iterable[str]) -> int:
        delete(self, [shelf.key("plc", "x")])
        raise Denied("no permission to delete")

    monkeypatch.setattr(FolderStore, "delete", refuse_the_second)
    with pytest.raises(Denied):
        clear(batch, who="me", even_if_ingesting=True)
    assert shelf.outcomes(batch) == ["uncertain", "success"]
    batch.refresh_from_db()
    assert (batch.upload_oks, batch.upload_errs) == (1, 1)
