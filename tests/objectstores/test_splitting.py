"""A listing that is split into parts is as complete as one in one piece, whatever happens meanwhile, or it raises."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime

import pytest

from objectstores import Denied, StoreError, Unavailable, open_store, splitting
from objectstores.base import NewerThan
from objectstores.splitting import NamePage, SplitListing
from sandbox.s3 import S3Sandbox

NAMES = [f"k{number:03}" for number in range(300)]
CUTS = NAMES[::7]
PAGE = 5


class Bucket:
    """Names that are listed five at a time, as S3 does; `before(n)` is called before the n-th page, from 0."""

    def __init__(self, names: list[str] = NAMES) -> None:
        self.names = list(names)
        self.asked: list[tuple[str, str]] = []
        self.before: Callable[[int], None] = lambda _number: None
        self.lock = threading.Lock()

    def page(self, after: str, token: str) -> NamePage:
        with self.lock:
            self.asked.append((after, token))
            self.before(len(self.asked) - 1)
            here = bisect_right(self.names, token or after)
            some = self.names[here : here + PAGE]
            return NamePage(some, some[-1] if here + PAGE < len(self.names) else "")

    def split(self, cuts: list[str] = CUTS, fetch: Callable[[str, str], NamePage] | None = None) -> SplitListing:
        return SplitListing(fetch or self.page, "k", cuts, "bucket")


def names(listing: SplitListing) -> list[str]:
    return [name for page in listing for name in page]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_cuts_all_names_are_listed_once_and_in_order(seed: int) -> None:
    chance = random.Random(seed)
    bucket = Bucket(sorted(chance.sample(NAMES, chance.randrange(1, 300))))
    cuts = [*chance.sample(NAMES, chance.randrange(200)), "", "a", "k", "k1", "k2999", "kz", "z", "k1/5", "k15é"]
    assert names(bucket.split(cuts)) == bucket.names


def test_parts_are_listed_side_by_side() -> None:
    bucket = Bucket()
    three = threading.Barrier(3, timeout=30)

    def fetch(after: str, token: str) -> NamePage:
        # The second page, and the first ones of two more parts: one after the other they would never come.
        if token == NAMES[PAGE - 1] or (after and not token):
            three.wait()
        return bucket.page(after, token)

    assert names(bucket.split([NAMES[100], NAMES[200]], fetch)) == NAMES


def test_a_short_listing_is_one_request() -> None:
    bucket = Bucket(NAMES[:PAGE])
    assert names(bucket.split()) == NAMES[:PAGE]
    assert bucket.asked == [("", "")]


def test_nothing_is_no_name() -> None:
    assert names(Bucket([]).split()) == []


def test_without_cuts_it_is_listed_in_one_piece() -> None:
    bucket = Bucket()
    assert names(bucket.split([])) == NAMES
    assert all(after == "" for after, _token in bucket.asked)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_there_all_the_time_is_listed_though_others_come_and_go(seed: int) -> None:
    chance = random.Random(seed)
    moving = set(chance.sample(NAMES, 60)) | set(CUTS[::2])
    bucket = Bucket([name for name in NAMES if name not in moving or chance.random() < 0.5])

    def change(_number: int) -> None:
        for name in chance.sample(sorted(moving), 5):
            there = bisect_right(bucket.names, name)
            if there and bucket.names[there - 1] == name:
                del bucket.names[there - 1]
            else:
                bucket.names.insert(there, name)

    bucket.before = change
    listed = names(bucket.split())
    assert set(NAMES) - moving <= set(listed)
    assert listed == sorted(set(listed))


def test_a_name_that_vanishes_where_two_parts_meet_makes_it_one_piece() -> None:
    bucket = Bucket()
    # The part behind the cut begins, then its first name goes, then the part before it gets there.
    begun = threading.Event()

    def fetch(after: str, token: str) -> NamePage:
        page = bucket.page(after, token)
        if after == "k100" and not token:
            bucket.names.remove("k101")
            begun.set()
        if token == NAMES[PAGE - 1]:
            begun.wait(30)
        return page

    listed = names(bucket.split(["k100"], fetch))
    assert listed == bucket.names
    assert any(token > "k200" and after == "" for after, token in bucket.asked)


@pytest.mark.parametrize("error", [Unavailable("away"), Denied("no"), RuntimeError("a fault of ours")])
def test_an_error_in_one_part_is_raised(error: Exception) -> None:
    bucket = Bucket()

    def fetch(after: str, token: str) -> NamePage:
        if token > "k150":
            raise error
        return bucket.page(after, token)

    pages: list[list[str]] = []
    with pytest.raises(type(error)):
        pages.extend(bucket.split(CUTS, fetch))
    listed = [name for page in pages for name in page]
    assert listed == NAMES[: len(listed)]
    assert len(listed) < len(NAMES)


def test_a_part_that_ends_before_names_that_another_one_read_is_an_error() -> None:
    bucket = Bucket()

    def fetch(after: str, token: str) -> NamePage:
        page = bucket.page(after, token)
        # A server that forgets to say that there is more.
        return NamePage(page.names, "") if "k050" in page.names else page

    with pytest.raises(Unavailable, match="incomplete listing: it ended at"):
        names(bucket.split(["k100", "k200"], fetch))


def test_a_server_that_does_not_know_where_to_begin_is_listed_in_one_piece() -> None:
    bucket = Bucket()
    assert names(bucket.split(CUTS, lambda _after, token: bucket.page("", token))) == NAMES


def test_a_part_whose_pages_are_out_of_order_is_an_error() -> None:
    bucket = Bucket()

    def fetch(after: str, token: str) -> NamePage:
        page = bucket.page(after, token)
        return NamePage(page.names[::-1], page.token) if "k150" in page.names else page

    with pytest.raises(StoreError, match="not in byte order"):
        names(bucket.split(CUTS, fetch))


def test_a_part_that_loops_is_an_error() -> None:
    bucket = Bucket()

    def fetch(after: str, token: str) -> NamePage:
        page = bucket.page(after, token)
        return NamePage([], token) if token > "k150" else page

    with pytest.raises(StoreError, match="loops"):
        names(bucket.split(CUTS, fetch))


def test_pages_without_names_do_not_end_it() -> None:
    bucket = Bucket()

    def fetch(after: str, token: str) -> NamePage:
        if token.endswith("."):
            return bucket.page(after, token[:-1])
        # An empty page before each one, as stores give that have deleted much.
        return NamePage([], token + ".") if token else bucket.page(after, token)

    assert names(bucket.split(CUTS, fetch)) == NAMES


def test_little_waits_in_memory_however_slow_the_reader_is() -> None:
    bucket = Bucket([f"k{number:06}" for number in range(20_000)])
    listing = iter(bucket.split(["k000100", "k010000"]))
    next(listing)
    next(listing)
    before = -1
    while before != len(bucket.asked):
        before = len(bucket.asked)
        time.sleep(0.1)
    assert before <= 1 + 3 * splitting.MAX_PAGES_AHEAD + 10


def test_a_listing_that_is_left_ends_its_parts() -> None:
    bucket = Bucket([f"k{number:06}" for number in range(20_000)])
    listing = iter(bucket.split(["k010000"]))
    next(listing)
    next(listing)
    listing.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name.endswith("(run)"):
            thread.join(30)
            assert not thread.is_alive()


ODD = [
    *(f"k/{number}" for number in range(20)),
    *(f"k{number:02}" for number in range(40)),
    "k-", "k--", "k01-", "k01=", "k%3D", "k+", "k +1", "kä", "k~", "k20&", "k20<", "k\U0001f600",
]  # fmt: skip


def test_a_real_server_splits_as_it_lists(s3: S3Sandbox, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_many(bucket, dict.fromkeys([name for name in ODD if "/" not in name] + ["other"], b""))
    monkeypatch.setattr("objectstores.s3.PAGE_SIZE", 3)
    store = open_store(f"s3://{bucket}", s3.environ())
    expected = sorted(name for name in ODD if "/" not in name)
    for cuts in (expected, expected[::5], ["k1", "k%", "kz"], []):
        assert [name for page in store.names("k", cuts) for name in page] == expected
    store.close()


@pytest.mark.parametrize("name", ["k/0", "k00"])
def test_what_is_newer_is_reported_from_every_part_and_of_a_listing_that_is_sorted(
    s3: S3Sandbox, bucket: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # With a slash in a name, SeaweedFS does not list in byte order.
    some = sorted({name, *(one for one in ODD if "/" not in one)})
    s3.put_many(bucket, dict.fromkeys(some, b""))
    monkeypatch.setattr("objectstores.s3.PAGE_SIZE", 3)
    store = open_store(f"s3://{bucket}", s3.environ())
    moment = max(one.created for one in store.list() if one.created)
    time.sleep(1.1)
    again = [name, *some[::7]]
    s3.put_many(bucket, dict.fromkeys(again, b"again"))
    for cuts in (some[::5], []):
        reported: list[tuple[str, datetime]] = []
        listed = [one for page in store.names("k", cuts, NewerThan(moment, reported.extend)) for one in page]
        assert sorted(listed) == some
        assert {one for one, _ in reported} == set(again)
        assert all(time > moment for _, time in reported)
    store.close()


@pytest.mark.parametrize("seed", range(8))
def test_names_with_slashes_are_all_there_or_it_raises(
    s3: S3Sandbox, bucket: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # SeaweedFS has `a/b` before `a-b`, and begins after a name in its own order.
    chance = random.Random(seed)
    letters = [first + rest for first in "kab" for rest in ("", "-", "-1", "/1", "/2", ".", "0", "0/1", "0-", "1")]
    some = sorted("k" + name for name in chance.sample(letters, 14))
    # A name can't be a file and a folder there.
    some = [name for name in some if not any(other.startswith(name + "/") for other in some)]
    s3.put_many(bucket, dict.fromkeys(some, b""))
    monkeypatch.setattr("objectstores.s3.PAGE_SIZE", 2)
    store = open_store(f"s3://{bucket}", s3.environ())
    # Complete, or refused: never less without an error.
    with contextlib.suppress(Unavailable):
        assert sorted(name for page in store.names("k", chance.sample(some, 4)) for name in page) == some
    assert sorted(one.name for one in store.list()) == some
    store.close()


def test_a_name_with_a_slash_is_no_place_to_join_at() -> None:
    # Folder by folder, as some servers do, but begun after a name in byte order: `kx/y` is seen from both sides of the
    # cut, and `kx-a` between them from none.
    inner = ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "kx/y", "kx-a", "kz"]

    def fetch(after: str, token: str) -> NamePage:
        names = [name for name in inner if name > after]
        here = int(token or 0)
        return NamePage(names[here : here + PAGE], str(here + PAGE) if here + PAGE < len(names) else "")

    with pytest.raises(StoreError, match="'kx-a' after 'kx/y'"):
        names(Bucket().split(["kx-q"], fetch))
