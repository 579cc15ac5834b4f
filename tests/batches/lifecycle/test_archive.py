"""Finished batches go out of the way, and never out of the database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from batches.ingest.check import check
from batches.ingest.rule import CheckOptions
from batches.lifecycle.archive import archive, unarchive
from batches.models import Batch, BatchRecord, BatchStep
from batches.upload.run import upload_batch
from core.exceptions import OperationRefused

if TYPE_CHECKING:
    from tests.support.shelf import Shelf

pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]


def listed(run: Run, *options: str) -> list[str]:
    return [one["id"] for one in json.loads(run("batch", "list", "--json", *options)[1])]


def test_done_batches_are_archived_and_those_with_objects_left_are_named(shelf: Shelf, run: Run) -> None:
    for bid in ("done", "errs", "going"):
        shelf.batch(bid, "x")
    done, errs = Batch.objects.get(bid="done"), Batch.objects.get(bid="errs")
    shelf.ingest(done, "x")
    for batch in (done, errs):
        check(batch, CheckOptions(sleep=0), asked_by="me")
    assert run("batch", "archive", "--done", "--dry-run")[1].startswith("1 batch would be archived: done.")
    assert listed(run) == ["going", "errs", "done"]
    status, said = run("batch", "archive", "--done")
    assert status == 0
    assert said.splitlines()[0] == "1 batch archived: done."
    assert "errs not archived: 1 object remaining" in said
    assert listed(run) == ["going", "errs"]
    assert listed(run, "--archived") == ["done"]
    assert listed(run, "--all") == ["going", "errs", "done"]
    assert run("batch", "clear", "errs", "--yes")[0] == 0
    assert run("batch", "archive", "--done")[1] == "1 batch archived: errs.\n"


def test_an_archived_batch_keeps_all_its_facts_and_can_be_taken_back(shelf: Shelf, run: Run) -> None:
    batch = shelf.batch("plc", "x")
    shelf.ingest(batch, "x")
    check(batch, CheckOptions(sleep=0), asked_by="me")
    assert run("batch", "archive", "plc")[0] == 0
    kept = Batch.objects.get(bid="plc")
    assert kept.ingest_duration is not None
    assert kept.ingest_duration >= timedelta(0)
    assert BatchRecord.objects.filter(batch=kept).count() == 1
    with pytest.raises(OperationRefused, match="already archived"):
        archive(kept, who="me")
    with pytest.raises(OperationRefused, match="batch archive plc --undo"):
        upload_batch(kept)
    assert run("batch", "archive", "plc", "--undo") == (0, "plc unarchived.\n")
    assert listed(run) == ["plc"]
    with pytest.raises(OperationRefused, match="is not archived"):
        unarchive(Batch.objects.get(bid="plc"), who="me")
    assert [step.kind for step in BatchStep.objects.order_by("pk")] == ["archive", "unarchive"]


def test_a_batch_in_ingest_is_archived_only_when_told_so(shelf: Shelf, run: Run) -> None:
    batch = shelf.batch("plc", "x")
    with pytest.raises(OperationRefused, match=r"manage\.py ingstat plc"):
        archive(batch, who="me")
    assert run("batch", "archive", "plc", "--even-if-ingesting", "--dry-run") == (
        0,
        "plc would be archived. To list archived batches: manage.py batch list --archived\n",
    )
    batch.refresh_from_db()
    assert batch.archived_at is None
    archive(batch, who="me", even_if_ingesting=True)
    assert run("ingstat", "--all") == (0, "No batch is waiting for its ingest.\n")


@pytest.mark.parametrize("words", [[], ["plc", "--done"], ["--done", "--undo"]])
def test_an_id_or_done_is_given_and_not_both(run: Run, words: list[str]) -> None:
    status, said = run("batch", "archive", *words)
    assert (status, "or --done" in said) == (2, True)


def test_batches_are_listed_by_the_step_that_they_wait_for(shelf: Shelf, run: Run) -> None:
    for bid in ("sent", "cut", "new", "done"):
        shelf.batch(bid)
    Batch.objects.filter(bid="cut").update(upload_finished=None)
    Batch.objects.filter(bid="new").update(status="mapped", upload_started=None, upload_finished=None)
    Batch.objects.filter(bid="done").update(status="ingested")
    assert listed(run, "--next", "upload") == ["new", "cut"]
    assert listed(run, "--next", "ingstat") == ["sent"]
    assert listed(run, "--next", "none") == ["done"]
    assert listed(run, "--status", "mapped") == ["new"]
