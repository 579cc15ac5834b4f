"""What follows when objects that are tried again and again come and go: before a result, after a clear, and in the archive."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from batches.choices import RetrySign
from batches.concerns import batch_concerns
from batches.ingest.check import check
from batches.ingest.count import RemainingKeys, count
from batches.ingest.healing import batches_to_heal, heal
from batches.ingest.retried import CLOCK_MARGIN, put_again_after
from batches.ingest.rule import CheckOptions
from batches.ingest.scheduled import count_once
from batches.lifecycle.archive import archive_done
from batches.lifecycle.clear import clear
from batches.models import Batch, BatchRecord
from batches.querysets import get_batch
from core.concerns import Concern
from objectstores import open_store
from objectstores.base import NewerThan
from objectstores.folder import FolderStore
from sandbox.s3 import S3Sandbox
from tests.support.shelf import Shelf

pytest_plugins = ["tests.support.shelf"]
pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]
QUICK = CheckOptions(0, 1, 1)
LATER = CLOCK_MARGIN + timedelta(minutes=5)


def put(shelf: Shelf, batch: Batch, *identifiers: str, later: timedelta = LATER) -> None:
    """Puts objects of records, so much after the upload."""
    assert batch.upload_finished
    at = (batch.upload_finished + later).timestamp()
    for identifier in identifiers:
        path = shelf.bucket / shelf.key(batch.bid, identifier, batch.action)
        path.write_text("<xml/>")
        os.utime(path, (at, at))


def uploaded(shelf: Shelf, *identifiers: str) -> Batch:
    """A batch that was uploaded an hour ago."""
    batch = shelf.batch("plc", *identifiers)
    ago = datetime.now(UTC) - timedelta(hours=1)
    Batch.objects.update(upload_started=ago, upload_finished=ago, ingest_start_time=ago)
    batch.refresh_from_db()
    put(shelf, batch, *identifiers, later=timedelta())
    return batch


def concern() -> Concern | None:
    return next((one for one in batch_concerns() if one.kind == "retried"), None)


def marked() -> dict[str | None, bool]:
    records = BatchRecord.objects.filter(retry_sign__isnull=False)
    return {record.identifier: record.retry_seen_at is not None for record in records}


def test_what_keeps_a_check_from_ever_ending_is_named_while_it_goes_on(shelf: Shelf, run: Run) -> None:
    batch = uploaded(shelf, "a", "b")
    for number in range(4):
        put(shelf, batch, "a", later=LATER + timedelta(minutes=number))
        assert count_once(get_batch("plc"), CheckOptions(0, 99, 9))
        shelf.ingest(batch, "a")
        assert count_once(get_batch("plc"), CheckOptions(0, 99, 9))
    assert get_batch("plc").status == "uploaded"
    assert marked() == {"a": True}
    found = concern()
    assert found
    put(shelf, batch, "a")
    words = found.command.split()[2:]
    assert words == ["batch", "clear", "plc", "--retried", "--even-if-ingesting"]
    assert run(*words, "--yes")[0] == 0
    assert shelf.left() == {shelf.key("plc", "b")}
    assert shelf.outcomes(batch) == ["uncertain", "success"]
    assert concern() is None


def test_what_was_not_retried_heals_after_retried_objects_were_cleared(shelf: Shelf) -> None:
    batch = uploaded(shelf, "a", "b")
    put(shelf, batch, "a")
    check(batch, QUICK, asked_by="w")
    clear(get_batch("plc"), who="w", only_retried=True)
    assert [one.bid for one in batches_to_heal()] == ["plc"]
    shelf.ingest(batch, "b")
    found = heal(get_batch("plc"))
    assert found
    assert found.healed == 1


def test_a_batch_with_other_objects_is_not_done_when_its_retried_ones_were_cleared(shelf: Shelf) -> None:
    batch = uploaded(shelf, "a", "b")
    put(shelf, batch, "a")
    check(batch, QUICK, asked_by="w")
    clear(get_batch("plc"), who="w", only_retried=True)
    assert archive_done(who="w").with_objects == [("plc", 1)]
    clear(get_batch("plc"), who="w")
    assert archive_done(who="w").archived == ["plc"]


def test_the_concern_ends_when_no_such_object_is_found(shelf: Shelf, run: Run) -> None:
    batch = uploaded(shelf, "a")
    put(shelf, batch, "a")
    check(batch, QUICK, asked_by="w")
    found = concern()
    assert found
    assert "such as a" in found.why
    shelf.ingest(batch, "a")
    assert run("batch", "clear", "plc", "--retried", "--dry-run")[0] == 0
    assert concern(), "a dry run changes nothing"
    assert run("batch", "clear", "plc", "--retried", "--yes")[1].startswith("No retried objects of plc remain")
    assert concern() is None
    assert marked() == {"a": False}, "that it was retried stays"


def test_the_time_of_an_upload_elsewhere_is_no_evidence(shelf: Shelf) -> None:
    batch = uploaded(shelf, "a")
    Batch.objects.update(upload_runs=0)
    put(shelf, batch, "a")
    assert put_again_after(get_batch("plc")) is None, "it may be only a day"
    check(get_batch("plc"), QUICK, asked_by="w")
    assert marked() == {}


def test_only_objects_that_are_retried_are_listed(shelf: Shelf, run: Run) -> None:
    batch = uploaded(shelf, "a", "b")
    put(shelf, batch, "a")
    check(batch, QUICK, asked_by="w")
    assert run("batch", "objects", "plc", "--retried")[1].endswith("1 retried object of plc remaining.\n")
    listed = json.loads(run("batch", "objects", "plc", "--retried", "--json")[1])
    assert [one["identifier"] for one in listed] == ["a"]


@pytest.mark.parametrize("deleted_first", [False, True])
def test_a_clear_of_retried_objects_that_dies_is_finished_by_the_next_one(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, *, deleted_first: bool
) -> None:
    batch = uploaded(shelf, "a", "b", "c")
    shelf.ingest(batch, "a")
    check(batch, QUICK, asked_by="w")
    put(shelf, batch, "a", "b")
    assert heal(get_batch("plc"))
    delete = FolderStore.delete

    def die(self: FolderStore, names: Sequence[str]) -> int:
        if deleted_first:
            delete(self, names)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            clear(get_batch("plc"), who="w", only_retried=True)
    assert shelf.outcomes(batch) == ["success", "cleared", "success"]
    clear(get_batch("plc"), who="w", only_retried=True)
    assert shelf.left() == {shelf.key("plc", "c")}
    assert dict(BatchRecord.objects.values_list("identifier", "ingest_outcome"))["a"] == "success"
    assert set(BatchRecord.objects.exclude(retry_sign=None).values_list("retry_sign", flat=True)) == {
        RetrySign.PUT_AGAIN
    }
    assert concern() is None


class Straggler(FolderStore):
    """Parts of a split listing that nobody waits for any more may report after its end."""

    found: Sequence[str] = ()
    late: Callable[[], object] = staticmethod(lambda: None)

    def names(self, prefix: str = "", cuts: Sequence[str] = (), newer: NewerThan | None = None) -> Iterator[list[str]]:
        if newer:
            report, found = newer.report, [(name, newer.moment + timedelta(hours=1)) for name in self.found]
            self.late = lambda: report(found * 1000)
        return super().names(prefix, cuts, newer)


def test_what_is_reported_after_the_end_of_a_listing_changes_nothing(shelf: Shelf) -> None:
    batch = uploaded(shelf, "a", "b")
    put(shelf, batch, "a")
    store = Straggler(shelf.bucket)
    store.found = [*shelf.left()]
    with RemainingKeys() as remaining:
        count(store, batch, remaining, put_again_after=put_again_after(batch))
        groups = remaining.groups(1, put_again=True)
        thread = threading.Thread(target=store.late)
        thread.start()
        thread.join()
        assert [key for keys in groups for key in keys] == [shelf.key("plc", "a")]


def test_a_real_store_tells_which_object_was_put_again(
    shelf: Shelf, s3: S3Sandbox, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = shelf.batch("plc", *(f"r{number}" for number in range(12)))
    keys = [shelf.key("plc", f"r{number}") for number in range(12)]
    s3.put_many(bucket, dict.fromkeys(keys, b"<xml/>"))
    for name, value in s3.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("objectstores.s3.PAGE_SIZE", 5)
    with closing(open_store(f"s3://{bucket}")) as store:
        newest = max(item.created for item in store.list() if item.created)
    Batch.objects.update(store_url=f"s3://{bucket}", upload_finished=newest - CLOCK_MARGIN)
    # The server knows whole seconds only.
    time.sleep(1.1)
    s3.put(bucket, keys[7], b"<xml/>")
    assert check(get_batch("plc"), QUICK, asked_by="w").remaining == 12
    assert marked() == {"r7": True}
    clear(get_batch("plc"), who="w", only_retried=True)
    assert sorted(s3.objects(bucket)) == sorted(set(keys) - {keys[7]})
    assert shelf.outcomes(batch).count("cleared") == 1
