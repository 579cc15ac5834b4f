"""What every store promises, tried on a folder, on a real S3 server and on the OCI stand-in."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from objectstores import Changed, Misconfigured, NotFound, TooLarge, open_store
from objectstores.base import NewerThan
from tests.support.stores import StoreLocation

ODD = [
    "a b.fasta",
    "a&b<c>'d\".xml",
    "a+b=c%3D%20;d,e@f$g!h(i)*j",
    "a-b",
    "a~b_c.d",
    "bar|hash#question?",
    "e\u0301 and \u00e9",
    "emoji-\U0001f9ec.fasta",
    "folder/in/folder/x",
    "ÄÖ.fasta",
    "日本語",
    "/".join("x" * 199 for _ in range(5)),
]


def test_it_lists_thousands_of_objects_in_byte_order_with_their_sizes(place: StoreLocation) -> None:
    names = [f"{number:x}-{number % 7}" for number in range(1150)]
    place.put_many({name: b"x" * (at % 5) for at, name in enumerate(names)})
    listed = list(place.open().list())
    assert [one.name for one in listed] == sorted(names)
    assert {one.name: one.size for one in listed} == {name: at % 5 for at, name in enumerate(names)}


def test_it_keeps_odd_names_as_they_are(place: StoreLocation) -> None:
    store = place.open()
    for name in ODD:
        store.write(name, name.encode())
    assert [one.name for one in store.list()] == sorted(ODD, key=str.encode)
    assert [store.read(name) for name in ODD] == [name.encode() for name in ODD]
    assert store.delete(ODD) == len(ODD)
    assert list(store.list()) == []


# SeaweedFS takes at most 255 bytes between two slashes, as file systems do.
@pytest.mark.parametrize(("place", "length"), [("s3", 255), ("oci", 1024)], indirect=["place"])
def test_it_keeps_names_as_long_as_they_may_be(place: StoreLocation, length: int) -> None:
    name = "é" * (length // 2 - 1) + "=" * (2 + length % 2)
    store = place.open()
    store.write(name, b"content")
    assert [one.name for one in store.list(name[:-1])] == [name]
    assert store.read(name) == b"content"


# SeaweedFS takes a backslash for a slash, and has `a/b` before `a-b`.
@pytest.mark.parametrize("place", ["file", "oci"], indirect=True)
def test_it_tells_folders_from_names_that_only_look_alike(place: StoreLocation) -> None:
    names = ["a-b", "a/b", "a/b-c/d", "a/b.c", "a0", "a\\b"]
    place.put_many(dict.fromkeys(reversed(names), b""))
    assert [one.name for one in place.open().list()] == names
    assert [one.name for one in place.open().list("a/b")] == names[1:4]


def test_it_says_etag_and_time_of_each_object(place: StoreLocation) -> None:
    store = place.open()
    etag = store.write("one", b"content")
    [one] = store.list()
    assert etag
    assert one.etag == etag
    assert one.created
    assert one.created.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - one.created) < timedelta(minutes=1)
    assert not one.archived


def test_a_listing_of_names_reports_which_objects_are_newer_than_a_moment(place: StoreLocation) -> None:
    place.put_many(dict.fromkeys(["a", "b", "c"], b"old"))
    store = place.open()
    moment = max(one.created for one in store.list() if one.created)
    reported: list[tuple[str, datetime]] = []
    assert [*store.names(newer=NewerThan(moment, reported.extend))] == [["a", "b", "c"]]
    assert reported == []
    # Some stores know whole seconds only.
    time.sleep(1.1)
    place.put_many({"b": b"again", "d": b"new"})
    assert [*store.names(newer=NewerThan(moment, reported.extend))] == [["a", "b", "c", "d"]]
    assert reported == [(one.name, one.created) for one in store.list() if one.name in "bd"]
    reported.clear()
    assert [*store.names("d", newer=NewerThan(moment - timedelta(hours=1), reported.extend))] == [["d"]]
    assert [name for name, _ in reported] == ["d"]


def test_it_lists_by_prefix(place: StoreLocation) -> None:
    place.put_many(dict.fromkeys(["a", "aba", "abb/c", "abb/d/e", "abc", "b"], b""))
    store = place.open()
    assert [one.name for one in store.list("ab")] == ["aba", "abb/c", "abb/d/e", "abc"]
    assert [one.name for one in store.list("abb/")] == ["abb/c", "abb/d/e"]
    assert [one.name for one in store.list("abb/d")] == ["abb/d/e"]
    assert list(store.list("zz")) == []


def test_it_reads_only_the_version_that_is_asked_for(place: StoreLocation) -> None:
    store = place.open()
    first = store.write("one", b"first")
    assert store.read("one", etag=first) == b"first"
    store.write("one", b"the second")
    with pytest.raises(Changed, match="one"):
        store.read("one", etag=first)
    assert store.read("one") == b"the second"


def test_it_reads_no_more_than_the_limit(place: StoreLocation) -> None:
    store = place.open()
    store.write("one", b"x" * 100_000)
    assert store.read("one", limit=100_000) == b"x" * 100_000
    with pytest.raises(TooLarge, match="100000 bytes exceed the limit of 99999"):
        store.read("one", limit=99_999)
    # The connection that was given up is not in the way.
    assert len(store.read("one")) == 100_000


def test_it_reads_empty_objects(place: StoreLocation) -> None:
    store = place.open()
    store.write("empty", b"")
    assert store.read("empty", limit=1) == b""


def test_it_writes_only_if_absent(place: StoreLocation) -> None:
    store = place.open()
    store.write("one", b"first", only_if_absent=True)
    with pytest.raises(Changed):
        store.write("one", b"second", only_if_absent=True)
    assert store.read("one") == b"first"


def test_of_many_writers_at_once_just_one_finds_it_absent(place: StoreLocation) -> None:
    store = place.open()

    def write(number: int) -> bool:
        try:
            store.write("one", str(number).encode(), only_if_absent=True)
        except Changed:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(write, range(16)))
    assert won.count(True) == 1
    assert store.read("one") == str(won.index(True)).encode()


def test_it_deletes_more_than_a_page_and_does_not_mind_what_is_not_there(place: StoreLocation) -> None:
    names = [f"{number:04}" for number in range(1020)]
    place.put_many(dict.fromkeys(names, b"x"))
    store = place.open()
    assert store.delete(name for name in [*names[:-1], "not there", "nor/there"]) == 1021
    assert [one.name for one in store.list()] == ["1019"]


def test_an_object_that_is_not_there_is_not_found(place: StoreLocation) -> None:
    with pytest.raises(NotFound, match="nothing"):
        place.open().read("nothing/here")


def test_a_place_that_is_not_there_is_not_found(place: StoreLocation) -> None:
    url = place.url.replace("@", "x@") if place.kind == "oci" else f"{place.url}x"
    store = open_store(url, place.settings)
    try:
        with pytest.raises(NotFound):
            next(store.list())
    finally:
        store.close()


def test_many_threads_share_a_store(place: StoreLocation) -> None:
    store = place.open()
    names = [f"sample-{number}" for number in range(200)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda name: store.write(name, name.encode() * 100), names))
        assert list(threads.map(store.read, names)) == [name.encode() * 100 for name in names]


def test_it_says_what_it_is_without_secrets(place: StoreLocation) -> None:
    text = place.open().describe()
    assert "\n" not in text
    assert place.url.rpartition("/")[2].partition("@")[0] in text
    assert not any(value in text for name, value in place.settings.items() if "SECRET" in name)


@pytest.mark.parametrize("name", ["", "x" * 1025, "é" * 513])
def test_a_name_that_no_store_can_have_is_refused(place: StoreLocation, name: str) -> None:
    store = place.open()
    for use in (store.read, lambda bad: store.write(bad, b""), lambda bad: store.delete([bad])):
        with pytest.raises(Misconfigured):
            use(name)


@pytest.mark.parametrize("place", ["s3", "oci"], indirect=True)
def test_a_store_with_a_prefix_knows_only_what_lies_below_it(place: StoreLocation) -> None:
    place.put_many({"in/a": b"a", "in/b": b"b", "out/c": b"c"})
    store = place.open("in/")
    assert [one.name for one in store.list()] == ["in/a", "in/b"]
    assert [one.name for one in store.list("b")] == ["in/b"]
    assert store.read("in/a") == b"a"
    assert store.url == f"{place.url}/in/"
    for use in (store.read, lambda name: store.write(name, b""), lambda name: store.delete([name])):
        with pytest.raises(Misconfigured, match="out/c"):
            use("out/c")
