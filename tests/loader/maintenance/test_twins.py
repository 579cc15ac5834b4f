"""`feed compare`: two servers that should hold the same samples, and what of a bucket is queued for the one that lacks it."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from core.digests import digest
from loader import tasks
from loader.choices import ObjectState
from loader.concerns import loader_concerns
from loader.maintenance.twins import Twin, TwinDifference, server_comparison
from loader.maintenance.twins_job import compare_and_store, find_twin, twin_pairs
from loader.models import BucketObject, Feed, TwinComparison, TwinFinding
from objectstores import open_store
from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta
from tests.support.feeding import LENGTH, REFERENCE, Feeding
from tests.support.feeds import MakeFeed, add_object

USELESS = "N" * LENGTH
LONG_AGO = timezone.now() - timedelta(days=3)


@pytest.fixture
def servers() -> Iterator[tuple[Fn4Sandbox, Fn4Sandbox]]:
    with Fn4Sandbox(LENGTH) as first, Fn4Sandbox(LENGTH) as second:
        yield first, second


@pytest.fixture
def twins(make_feed: MakeFeed, servers: tuple[Fn4Sandbox, Fn4Sandbox]) -> tuple[Feed, Feed]:
    """Two feeds of one store: `new` shares the folder of `old`."""
    old, new = make_feed("old", servers[0].url), make_feed("new", servers[1].url)
    for feed in (old, new):
        Feed.objects.filter(pk=feed.pk).update(
            store_url=old.store_url, store_digest=old.store_digest, scheduled=True, checked_at=timezone.now()
        )
        feed.refresh_from_db()
    return old, new


def compare(old: Feed, new: Feed) -> dict[str, TwinDifference]:
    with server_comparison(find_twin(old.name, "default"), find_twin(new.name, "default"), "default") as compared:
        found = {one.guid: one for one in compared.differences()}
        compared.repair()
        return found


def test_what_is_in_one_and_not_in_the_other_is_named_with_what_the_ledger_knows(
    twins: tuple[Feed, Feed], servers: tuple[Fn4Sandbox, Fn4Sandbox]
) -> None:
    old, new = twins
    for guid in ("both", "unknown", "waits", "rejected", "deleted", "lost"):
        servers[0].insert(guid, REFERENCE)
    for guid in ("both", "only-new"):
        servers[1].insert(guid, REFERENCE)
    servers[0].insert("useless-in-old", USELESS)
    servers[1].insert("useless-in-old", REFERENCE)
    servers[0].insert("useless", USELESS)
    servers[1].insert("useless", USELESS)
    add_object(new, "waits")
    add_object(new, "rejected", ObjectState.REJECTED, reason="it is empty")
    add_object(new, "deleted", ObjectState.GONE)
    add_object(new, "lost", ObjectState.LOADED, guid="lost", done_at=LONG_AGO)
    found = compare(old, new)
    assert {guid: one.kind.value for guid, one in found.items()} == {
        "unknown": "only_first",
        "waits": "queued",
        "rejected": "only_first",
        "deleted": "only_first",
        "lost": "only_first",
        "only-new": "only_second",
        "useless-in-old": "validity_differs",
    }
    assert found["rejected"].note == "rejected by feed new: it is empty"
    assert found["waits"].note == "waits in feed new"
    assert "no longer there" in found["lost"].note
    assert found["useless-in-old"].note == f"too many N in {servers[0].url}"


def test_repair_queues_what_was_loaded_and_the_bucket_still_has_and_nothing_else(
    twins: tuple[Feed, Feed], servers: tuple[Fn4Sandbox, Fn4Sandbox], tmp_path: Path
) -> None:
    old, new = twins
    (tmp_path / "old" / "lost.fasta").write_bytes(fasta("lost", REFERENCE))
    for guid in ("lost", "no-file", "rejected"):
        servers[0].insert(guid, REFERENCE)
    rows = {
        guid: add_object(new, guid, ObjectState.LOADED, guid=guid, done_at=LONG_AGO) for guid in ("lost", "no-file")
    }
    store = open_store(new.store_url)
    (item,) = list(store.list())
    store.close()
    BucketObject.objects.filter(pk=rows["lost"].pk).update(version=digest(item.name, item.etag), result="inserted")
    add_object(new, "rejected", ObjectState.REJECTED)
    compare(old, new)
    states = BucketObject.objects.order_by("seqid").values_list("seqid", "state", "result", "guid")
    assert list(states) == [
        ("lost", "waiting", "", ""),
        ("no-file", "loaded", "", "no-file"),
        ("rejected", "rejected", "", ""),
    ]


class LateServer:
    """The first of two servers, which gets a sample after it was read; the lists are those of a client."""

    url = "http://late"

    def __init__(self) -> None:
        self.ids = ["s1"]

    def guids(self) -> Iterator[str]:
        yield from list(self.ids)
        self.ids = ["s1", "s2"]

    def invalid_guids(self) -> Iterator[str]:
        yield from ()

    def close(self) -> None:
        pass


def test_what_came_in_while_both_were_read_is_no_difference(
    twins: tuple[Feed, Feed], servers: tuple[Fn4Sandbox, Fn4Sandbox]
) -> None:
    """Into the first server after it was read; into the second, according to the ledger, after that."""
    old, new = twins
    for guid in ("s1", "s2"):
        servers[1].insert(guid, REFERENCE)
    late = Twin("late", LateServer(), old.server)  # type: ignore[arg-type]
    with server_comparison(late, find_twin("new", "default"), "default") as compared:
        assert list(compared.differences()) == []
    servers[0].insert("s3", REFERENCE)
    add_object(new, "s3", ObjectState.LOADED, guid="s3", done_at=timezone.now() + timedelta(minutes=1))
    assert set(compare(old, new)) == {"s1", "s2"}


def test_sequences_are_compared_by_their_md5_and_can_be_continued(
    twins: tuple[Feed, Feed], servers: tuple[Fn4Sandbox, Fn4Sandbox]
) -> None:
    for guid in ("a", "b", "c"):
        servers[0].insert(guid, REFERENCE)
        servers[1].insert(guid, REFERENCE.lower() if guid == "a" else "T" * LENGTH)
    servers[0].insert("only", REFERENCE)
    with server_comparison(find_twin("old", "default"), find_twin("new", "default"), "default") as compared:
        list(compared.differences())
        assert [one.guid for one in compared.sequence_differences(pace=1000)] == ["b", "c"]
        assert (compared.same_sequence, compared.last) == (1, "c")
        assert [one.guid for one in compared.sequence_differences(pace=1000, after="b")] == ["c"]


def test_a_server_that_does_not_list_invalid_samples_is_compared_without_them(
    twins: tuple[Feed, Feed], servers: tuple[Fn4Sandbox, Fn4Sandbox]
) -> None:
    servers[0].insert("useless", USELESS)
    servers[1].insert("useless", REFERENCE)
    servers[1].faults({"kind": "status", "status": 404, "path": "invalid_guids"})
    with server_comparison(find_twin("old", "default"), find_twin("new", "default"), "default") as compared:
        assert list(compared.differences()) == []
        assert f"{servers[1].url} does not tell" in compared.summary


def test_the_night_compares_servers_that_share_a_store_and_fnstatus_reports_differences(
    twins: tuple[Feed, Feed], servers: tuple[Fn4Sandbox, Fn4Sandbox], make_feed: MakeFeed
) -> None:
    old, new = twins
    make_feed("other", "http://127.0.0.1:2", scheduled=True)
    pair = (old.server_id, new.server_id)
    assert twin_pairs() == [pair]
    assert "1 pair of servers" in tasks.reconcile_feeds()
    servers[0].insert("s1", REFERENCE)
    servers[0].insert("waits", REFERENCE)
    add_object(new, "waits")
    assert "1 only in" in compare_and_store(pair[1], pair[0], lambda: False)
    comparison = TwinComparison.objects.get()
    assert (comparison.first_id, comparison.only_first, comparison.queued) == (pair[0], 1, 1)
    assert set(TwinFinding.objects.values_list("kind", "guid")) == {("only_first", "s1"), ("queued", "waits")}
    (concern,) = [one for one in loader_concerns().concerns if one.kind == "twins_differ"]
    assert (concern.level.code, concern.command) == ("look", "python manage.py feed compare old new --repair")
    servers[1].insert("s1", REFERENCE)
    compare_and_store(*pair, lambda: False)
    assert TwinComparison.objects.get().differences == 0
    assert TwinFinding.objects.count() == 1
    assert "twins_differ" not in {one.kind for one in loader_concerns().concerns}, "what only waits is no concern"
    servers[1].kill()
    assert "comparison failed" in compare_and_store(*pair, lambda: False)
    assert TwinComparison.objects.get().differences == 0, "what was known stays"


def test_servers_that_share_no_store_any_more_raise_no_concern(twins: tuple[Feed, Feed]) -> None:
    old, new = twins
    TwinComparison.objects.create(
        first=old.server, second=new.server, at=timezone.now(), summary="…", in_first=1, in_second=0, only_first=1
    )
    assert "twins_differ" in {one.kind for one in loader_concerns().concerns}
    Feed.objects.filter(pk=new.pk).update(store_digest="other")
    assert "twins_differ" not in {one.kind for one in loader_concerns().concerns}


def test_the_command_says_each_difference_and_asks_before_it_repairs(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2")
    assert feeding.load().returncode == 0
    with Fn4Sandbox(LENGTH) as second:
        first, url = feeding.bucket, second.url
        told = feeding.manage("feed", "compare", feeding.fn4.url, url)
        assert told.returncode == 10, told.stderr
        assert told.stdout.splitlines()[:2] == ["only_first  s1", "only_first  s2"]
        for guid in ("s1", "s2"):
            second.insert(guid, feeding.sent[guid])
        told = feeding.manage("feed", "compare", first, url, "--sequences", "--pace", "100", "--json")
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["counts"]["in_second"] == 2
        feeding.fn4.forget("s1")
        told = feeding.manage("feed", "compare", url, first)
        assert "add --repair" in told.stdout
        told = feeding.manage("feed", "compare", url, first, "--repair")
        assert (told.returncode, "Add --yes" in told.stderr) == (1, True), told.stderr
        told = feeding.manage("feed", "compare", url, first, "--repair", "--yes")
        assert (told.returncode, "1 file queued, 0 no longer" in told.stderr) == (10, True), told.stderr
        assert feeding.load().returncode == 0
        assert feeding.manage("feed", "compare", url, first).returncode == 0
        second.insert("s1", "T" * LENGTH)
        told = feeding.manage("feed", "compare", url, first, "--sequences", "--after", "s0")
        assert (told.returncode, told.stdout.split()[:2]) == (10, ["sequence_differs", "s1"])
    told = feeding.manage("feed", "compare", first, url)
    assert (told.returncode, "Connection refused" in told.stderr) == (1, True), told.stderr
    assert feeding.manage("feed", "compare", first, first).returncode == 1
    assert feeding.manage("feed", "compare", first, "ftp://x").returncode == 2
    assert feeding.manage("feed", "compare", first, url, "--after", "x").returncode == 2
    assert "No feed" in feeding.manage("feed", "compare", first, "nobody").stderr


class ManyIds:
    """The lists of a server with many samples."""

    def __init__(self, number: int, odd: str) -> None:
        self.url, self.number, self.odd = f"http://{odd}", number, odd

    def guids(self) -> Iterator[str]:
        yield self.odd
        yield from (f"{index * 7919 % self.number:024}" for index in range(self.number))

    def invalid_guids(self) -> Iterator[str]:
        yield from (f"{index:024}" for index in range(0, self.number, 3))

    def close(self) -> None:
        pass


def test_memory_is_flat_in_the_number_of_samples(transactional_db: None) -> None:
    peaks = []
    for number in (2_000, 100_000):
        first, second = (Twin(odd, ManyIds(number, odd), None) for odd in ("a", "b"))  # type: ignore[arg-type]
        tracemalloc.start()
        with server_comparison(first, second, "default") as compared:
            assert {one.guid for one in compared.differences()} == {"a", "b"}
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000, peaks
