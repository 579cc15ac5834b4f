"""A count of a large batch tells the store where its listing may be split; the result does not depend on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from batches.ingest.count import MIN_ROWS_TO_SPLIT, SPLIT_POINTS, count
from batches.keys import digest, encode
from batches.models import Batch, BatchRecord
from objectstores.base import NewerThan
from objectstores.folder import FolderStore

pytestmark = pytest.mark.django_db


class Listened(FolderStore):
    """A folder that remembers where it was told to split."""

    cuts: Sequence[str] = ()

    def names(self, prefix: str = "", cuts: Sequence[str] = (), newer: NewerThan | None = None) -> Iterator[list[str]]:
        self.cuts = cuts
        return super().names(prefix, cuts, newer)


def key(row: int) -> str:
    return encode("plc", "/collectionobjects", f"A{row}", "CREATE")


def batch_of(records: int) -> Batch:
    batch = Batch.objects.create(bid="plc", action="CREATE")
    BatchRecord.objects.bulk_create(
        BatchRecord(batch=batch, row=row, key=key(row), key_digest=digest(key(row))) for row in range(1, records + 1)
    )
    return batch


def test_a_large_batch_is_split_at_keys_spread_over_all_of_its_records(tmp_path: Path) -> None:
    batch, store = batch_of(MIN_ROWS_TO_SPLIT + 500), Listened(tmp_path)
    for row in (1, 7, 2400):
        (tmp_path / key(row)).touch()
    seen = count(store, batch)
    assert seen.remaining == 3
    rows = sorted(BatchRecord.objects.filter(key__in=store.cuts).values_list("row", flat=True))
    assert len(rows) == len(store.cuts) <= SPLIT_POINTS * 2
    assert rows == list(range(1, MIN_ROWS_TO_SPLIT + 501, 2))


def test_a_small_batch_is_not_worth_a_split(tmp_path: Path) -> None:
    batch, store = batch_of(20), Listened(tmp_path)
    (tmp_path / key(3)).touch()
    assert count(store, batch).remaining == 1
    assert list(store.cuts) == []


def test_a_batch_without_records_is_counted_all_the_same(tmp_path: Path) -> None:
    (tmp_path / key(3)).touch()
    assert count(FolderStore(tmp_path), Batch.objects.create(bid="plc", action="CREATE")).remaining == 1
