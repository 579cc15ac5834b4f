"""A listing in any order is complete, each object once and in byte order, or it raises; and it takes flat memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from objectstores import StoreError
from objectstores.base import StoredObject
from objectstores.listing import check_order
from objectstores.sorting import ListingSorter

CREATED = datetime(2026, 1, 31, 18, 25, 3, 123000, tzinfo=UTC)


def stored(name: str) -> StoredObject:
    return StoredObject(name, len(name), f"etag of {name}", None, CREATED, archived=name.endswith("0"))


def pages_of(names: list[str], size: int) -> Iterator[list[StoredObject]]:
    for start in range(0, len(names), size):
        yield [stored(name) for name in names[start : start + size]]


def ordered(pages: Iterator[list[StoredObject]]) -> Iterator[list[StoredObject]]:
    last = ""
    for page in pages:
        last = check_order([entry.name for entry in page], last, "bucket")
        yield page


def listed(names: list[str], size: int) -> list[StoredObject]:
    sorter = ListingSorter("bucket", lambda: pages_of(names, size))
    return [entry for page in sorter.objects(ordered(pages_of(names, size))) for entry in page]


@pytest.mark.parametrize("seed", range(20))
def test_every_object_is_listed_once_whatever_the_order(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"k{chance.choice(['/', '-', '', 'é', chr(0x1F600), chr(0xFFFD)])}{number}" for number in range(100)]
    chance.shuffle(names)
    assert listed(names, 100) == [stored(name) for name in sorted(names, key=str.encode)]
    in_pages = listed(names, 7)
    assert sorted(in_pages) == sorted(map(stored, names))


def test_what_was_yielded_before_is_not_repeated_and_the_rest_is_in_order() -> None:
    names = [*(f"k{number}" for number in range(10, 40)), "a2", "a1", "k-", "z"]
    assert [entry.name for entry in listed(names, 10)] == [*names[:30], "a1", "a2", "k-", "z"]


def test_an_ordered_listing_is_read_once() -> None:
    sorter = ListingSorter("bucket", lambda: pytest.fail("read again"))
    names = [f"k{number:03}" for number in range(100)]
    assert [entry.name for page in sorter.objects(ordered(pages_of(names, 9))) for entry in page] == names


@pytest.mark.parametrize("names", [["b", "a", "b"], ["b", "a", "c", "b", "a", "c"]])
def test_a_name_that_is_listed_twice_is_an_error(names: list[str]) -> None:
    with pytest.raises(StoreError, match="lists a name twice"):
        listed(names, 3)


def test_a_listing_that_never_ends_is_an_error() -> None:
    def endless() -> Iterator[list[StoredObject]]:
        while True:
            yield [stored("b"), stored("a")]

    sorter = ListingSorter("bucket", endless)
    with pytest.raises(StoreError, match="lists a name twice"):
        list(sorter.objects(ordered(endless())))


def test_an_error_of_the_store_is_raised_and_nothing_is_listed_in_its_place() -> None:
    def broken() -> Iterator[list[StoredObject]]:
        yield [stored("b"), stored("a")]
        raise StoreError("the second page failed")

    sorter = ListingSorter("bucket", broken)
    with pytest.raises(StoreError, match="the second page failed"):
        next(sorter.objects(ordered(broken())))


def test_a_disk_that_is_full_is_an_error_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "objectstores.sorting.TABLES",
        "PRAGMA max_page_count = 4;" + "CREATE TABLE yielded (hash);"
        "CREATE TABLE seen (hash); CREATE TABLE listed (name, size, etag, md5, created, archived);",
    )
    with pytest.raises(StoreError, match=r"can't be sorted on disk: .* full. Check TMPDIR"):
        listed([f"k{number}" for number in range(2000)][::-1], 1000)


def test_many_names_are_sorted_in_flat_memory_and_the_caller_is_called_meanwhile() -> None:
    number = 40_000
    calls: list[None] = []

    def reverse() -> Iterator[list[StoredObject]]:
        for start in range(number, 0, -1000):
            yield [stored(f"k{index:08}") for index in range(start, start - 1000, -1)]

    tracemalloc.start()
    sorter = ListingSorter("bucket", reverse)
    last, count = "", 0
    for page in sorter.objects(ordered(reverse()), lambda: calls.append(None)):
        last = check_order([entry.name for entry in page], last, "result")
        count += len(page)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, len(calls) >= 80) == (number, True)
    assert peak < 8_000_000
