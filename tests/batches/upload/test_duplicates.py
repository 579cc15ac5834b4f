"""Records that two batches would create are found before the upload, and named."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from batches.lifecycle.clear import clear
from batches.models import Batch
from batches.upload.duplicates import PAGE_SIZE, check_duplicates, find_duplicates
from batches.upload.run import upload_batch

if TYPE_CHECKING:
    from tests.support.shelf import Shelf

pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]


def waiting(
    shelf: Shelf, bid: str, *identifiers: str, rectype: str = "collectionobject", action: str = "CREATE"
) -> Batch:
    """A batch that was not uploaded yet."""
    batch = shelf.batch(bid, *identifiers, rectype=rectype, action=action)
    for one in identifiers:
        (shelf.bucket / shelf.key(bid, one, action)).unlink()
    batch.records.update(upload_outcome="pending")
    Batch.objects.filter(pk=batch.pk).update(status="added", upload_started=None, upload_finished=None, upload_runs=0)
    batch.refresh_from_db()
    return batch


NAMED = [
    "3 records of plc would be created twice: other batches of collectionobject also create them:",
    "  row 2: b is also in old (row 2, uploaded)",
    "  row 2: b is also in other (row 1, pending)",
    "  row 3: a is also in old (row 1, ingested)",
    "  row 4: x\\n is also in old (row 3, uploaded)",
]


def test_an_upload_names_them_first_and_sends_nothing_when_told_to_refuse(shelf: Shelf, run: Run) -> None:
    old = shelf.batch("old", "a", "b", "x\n")
    old.records.filter(identifier="a").update(ingest_outcome="success")
    waiting(shelf, "other", "b")
    batch = waiting(shelf, "plc", "c", "b", "a", "x\n")
    before = shelf.left()
    status, said = run("batch", "upload", "plc", "--duplicates", "refuse")
    assert status == 1
    assert said.splitlines()[:-1] == NAMED
    assert said.splitlines()[-1].startswith("Nothing of plc was sent. Remove the duplicates from one of the batches")
    assert shelf.left() == before
    batch.refresh_from_db()
    assert (batch.duplicates, batch.duplicates_checked_at is not None, batch.status) == (3, True, "added")
    assert run("batch", "upload", "plc", "--dry-run")[1].splitlines()[1:] == NAMED
    assert (
        run("batch", "duplicates", "plc")[1].splitlines()[-1]
        == "4 duplicates of plc in other batches of collectionobject."
    )
    status, said = run("batch", "upload", "plc")
    assert (status, said.splitlines()[:5]) == (0, NAMED)
    assert len(shelf.left()) == len(before) + 4


@pytest.mark.parametrize(("answer", "sent"), [("y\n", True), ("\n", False)])
def test_at_a_terminal_it_asks(
    shelf: Shelf, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, *, sent: bool
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shelf.batch("old", "a")
    batch = waiting(shelf, "plc", "a")
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    status, said = run("batch", "upload", "plc")
    assert "Send plc anyway? [y/N]" in said
    assert status == (0 if sent else 1)
    assert shelf.outcomes(batch) == ["success" if sent else "pending"]


def test_other_types_other_actions_and_what_was_cleared_are_no_duplicates(shelf: Shelf) -> None:
    shelf.batch("place", "a", rectype="place")
    shelf.batch("change", "a", action="UPDATE")
    cleared = shelf.batch("old", "a")
    Batch.objects.filter(pk=cleared.pk).update(status="ingested")
    cleared.refresh_from_db()
    batch = waiting(shelf, "plc", "a", "b")
    assert [(one.row, one.other) for one in find_duplicates(batch)] == [(1, "old")]
    clear(cleared, who="me")
    assert list(find_duplicates(batch)) == []
    assert upload_batch(batch).outcomes == {"success": 2}
    batch.refresh_from_db()
    assert batch.duplicates == 0


def test_updates_may_be_in_as_many_batches_as_one_likes(shelf: Shelf) -> None:
    shelf.batch("one", "a", action="UPDATE")
    assert upload_batch(waiting(shelf, "two", "a", action="UPDATE")).outcomes == {"success": 1}


def test_what_is_sent_already_is_not_held_up_by_a_later_batch(shelf: Shelf) -> None:
    batch = waiting(shelf, "plc", "a", "b")
    batch.records.filter(identifier="a").update(upload_outcome="success")
    waiting(shelf, "later", "a")
    assert check_duplicates(batch).records == 0
    assert [one.identifier for one in find_duplicates(batch)] == ["a"]
    assert upload_batch(batch).outcomes == {"success": 2}


def test_all_pages_are_looked_at(shelf: Shelf) -> None:
    batch = waiting(shelf, "plc")
    for row in (1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE):
        batch.records.create(row=row, key=f"k{row}", key_digest=f"{row}", identifier=f"r{row}", action="CREATE")
    shelf.batch("old", "r1", f"r{PAGE_SIZE + 1}", f"r{3 * PAGE_SIZE}")
    assert [one.row for one in find_duplicates(batch)] == [1, PAGE_SIZE + 1, 3 * PAGE_SIZE]
