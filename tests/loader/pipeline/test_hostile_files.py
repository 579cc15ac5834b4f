"""Files and names that are made to end a pass: each costs itself its turn, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from loader.coordination.database_clock import DatabaseClock
from loader.fn4.client import FindNeighbour4
from loader.ledger.queue import due
from loader.ledger.scan import scan
from loader.models import BucketObject
from loader.pipeline.context import LoadContext
from loader.pipeline.feed_pass import FeedPass
from loader.pipeline.result import PassResult
from objectstores import open_store
from objectstores.base import Denied, StoredObject
from sandbox.genomes import fasta, mutant
from tests.support.feeding import REFERENCE, Feeding
from tests.support.feeds import MakeFeed
from tests.support.passes import Passes
from tests.support.waiting import until


def folder_of(passes: Passes) -> Path:
    return Path(unquote(urlsplit(passes.feed.store_url).path))


def put(passes: Passes, name: str, content: bytes) -> None:
    """Puts a file that is due before those of today."""
    path = folder_of(passes) / name
    path.write_bytes(content)
    os.utime(path, (1e9, 1e9))


def test_a_header_with_a_nul_is_rejected_and_what_is_behind_it_is_loaded(feeding: Feeding) -> None:
    good = fasta("nul", mutant(REFERENCE, 1))
    feeding.put(
        "nul.fasta", b">GPAS_\0SP3|nul\xed\xa0\x80\0\n" + good.partition(b"\n")[2], created="2020-01-01T00:00:00Z"
    )
    feeding.put("wide.fasta", good.decode().encode("utf-16-be"), created="2020-01-01T00:00:01Z")
    feeding.put_samples("s1")
    loaded = feeding.load()
    assert loaded.returncode == 10, loaded.stderr
    assert [row[:2] for row in feeding.objects()] == [
        ("nul.fasta", "rejected"),
        ("s1.fasta", "loaded"),
        ("wide.fasta", "rejected"),
    ]
    assert "nul.fasta: rejected: " in loaded.stdout
    assert "contains a NUL" in feeding.objects("reason")[0][0]
    assert feeding.load().returncode == 0, "none of them comes again"


def test_names_that_no_row_holds_are_rejected_by_name(passes: Passes) -> None:
    put(passes, os.fsdecode(b"no\xffunicode.fasta"), b">x\nA\n")
    deep = folder_of(passes)
    for _ in range(5):
        deep /= "d" * 240
    deep.mkdir(parents=True)
    (deep / "long.fasta").write_bytes(b">x\nA\n")
    passes.put("s1")
    result = passes.turn()
    assert (result.trouble, result.inserted, result.rejected) == ("", 1, 2)
    rows = passes.objects("name", "state", "reason")
    assert [(len(name), state) for name, state, _ in rows] == [(1024, "rejected"), (16, "rejected"), (8, "loaded")]
    assert all("rename the object" in reason for _, state, reason in rows if state == "rejected")
    assert rows[1][0] == "no\ufffdunicode.fasta"
    assert passes.turn().new == 0


class Listed:
    """A store that lists what no store should."""

    def list(self, **_: object) -> Iterator[StoredObject]:
        """As in `base.Store`."""
        now, east = datetime(2026, 1, 1, tzinfo=UTC), timezone(timedelta(hours=14))
        yield StoredObject("a\0b.fasta", 7, "e", None, now)
        yield StoredObject("c.fasta", 2**70, "e" * 300, "f" * 80, now)
        yield StoredObject("d.fasta", -1, "e", None, datetime(1, 1, 1, tzinfo=east))
        yield StoredObject("e.fasta", 7, "e", None, datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=14))))
        yield StoredObject("left\0out\ud800", 7, "e", None, now)


def test_whatever_a_store_lists_has_a_row(make_feed: MakeFeed) -> None:
    feed = make_feed()
    clock = DatabaseClock(feed.server, "default")
    for found in (4, 0):
        assert scan(feed, Listed(), "default", clock, lambda: None).found == found  # type: ignore[arg-type]
    assert len(list(due(feed, "default", clock.now()))) == 4
    sizes = dict(BucketObject.objects.values_list("name", "size"))
    assert sizes == {"a\ufffdb.fasta": 7, "c.fasta": 2**63 - 1, "d.fasta": 0, "e.fasta": 7}
    feed.refresh_from_db()
    assert feed.left_out == [{"ending": "(no ending)", "number": 1, "example": "left\ufffdout\ufffd"}]


class Faulty:
    """A store that fails on some files."""

    def __init__(self, url: str, error: Exception, *names: str) -> None:
        self._store, self._error, self._names = open_store(url), error, names

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as of the store
        return getattr(self._store, name)

    def read(self, name: str, **how: Any) -> bytes:  # noqa: ANN401
        """As in `base.Store`."""
        if name in self._names:
            raise self._error
        return self._store.read(name, **how)


def turn(passes: Passes, error: Exception, *names: str) -> PassResult:
    with closing(FindNeighbour4(passes.fn4.url)) as client:
        store: Any = Faulty(passes.feed.store_url, error, *names)
        return FeedPass(LoadContext(passes.feed, store, client, log=passes.log.append)).turn()


@pytest.mark.parametrize(
    "error", [RecursionError("deep"), MemoryError(), Denied("no access")], ids=lambda e: type(e).__name__
)
def test_whatever_goes_wrong_with_a_file_costs_it_its_turn(passes: Passes, error: Exception) -> None:
    put(passes, "bad.fasta", b">x\nA\n")
    passes.put("s1", "s2")
    result = turn(passes, error, "bad.fasta")
    assert (result.trouble, result.inserted, result.postponed) == ("", 2, 1)
    assert [line for line in passes.log if line.startswith("bad.fasta: will retry: ")], passes.log
    assert passes.objects("name", "state", "tries")[0] == ("bad.fasta", "waiting", 1)
    assert turn(passes, error, "bad.fasta").due == 0, "it is not first again"
    BucketObject.objects.update(not_before=None)
    put(passes, "bad.fasta", (folder_of(passes) / "s1.fasta").read_bytes().replace(b"s1", b"bad"))
    assert turn(passes, error).inserted == 1


def test_what_goes_wrong_with_every_file_ends_the_pass(passes: Passes) -> None:
    passes.put("s1", "s2", "s3", "s4")
    result = turn(passes, OSError("no more threads"), "s1.fasta", "s2.fasta", "s3.fasta", "s4.fasta")
    assert "3 files in a row failed: fnloader failed (OSError)" in result.trouble


def refuse_rows(feeding: Feeding, condition: str) -> None:
    """The database refuses attempts of which that is true."""
    if feeding.manage.environment["DATABASE_URL"].startswith("sqlite"):
        new = condition.replace("fn4id", "NEW.fn4id").replace("insert_start_time", "NEW.insert_start_time")
        for event in ("INSERT", "UPDATE"):
            feeding.manage.rows(
                f"CREATE TRIGGER refuse_{event} BEFORE {event} ON fn4loadattempt WHEN {new} "
                "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
    else:
        feeding.manage.rows(
            f"ALTER TABLE fn4loadattempt ADD CONSTRAINT refuse CHECK (NOT coalesce({condition}, false))"
        )


@pytest.mark.parametrize(
    "condition", ["fn4id = 's2'", "fn4id = 's2' AND insert_start_time IS NOT NULL"], ids=["opened", "started"]
)
def test_a_sample_that_the_database_refuses_is_postponed(feeding: Feeding, condition: str) -> None:
    feeding.put_samples("s1", "s2", "s3", "s4")
    feeding.load("--help")
    refuse_rows(feeding, condition)
    loaded = feeding.load()
    assert loaded.returncode == 10, loaded.stderr
    assert "s2.fasta: will retry: fnloader failed (IntegrityError): see the log" in loaded.stdout
    assert "Traceback" not in loaded.stdout
    assert feeding.fn4.guids() == ["s1", "s3", "s4"]
    assert feeding.objects("name, state, tries") == [
        (f"s{number}.fasta", "waiting" if number == 2 else "loaded", int(number == 2)) for number in range(1, 5)
    ]
    assert feeding.attempts("outcome", "outcome = 'open'") == []
    assert feeding.load().returncode == 0, "its next try has time"


def kill_while_reading(feeding: Feeding, *loaded: str, tries: int = 0) -> None:
    """Runs fnload, and kills it once these samples are in and it reads the first file, on which the store hangs."""

    def reads() -> bool:
        rows = feeding.manage.rows("SELECT tries FROM loader_bucketobject WHERE read_since IS NOT NULL ORDER BY name")
        return rows[:1] == [(tries,)] and sorted(feeding.fn4.guids()) == sorted(loaded)

    process = feeding.start("--once")
    try:
        until(reads, "it reads that file", process)
    finally:
        process.kill()
        process.communicate()


def test_a_file_that_ends_its_process_comes_last_and_after_some_times_never(feeding: Feeding) -> None:
    feeding.put("bad.fasta", b">x\nA\n", created="2020-01-01T00:00:00Z")
    feeding.put_samples("s1", "s2", "s3")
    feeding.oci.faults({"kind": "hang", "name_prefix": "bad"})
    kill_while_reading(feeding)
    kill_while_reading(feeding, "s1", "s2", "s3", tries=1)
    ((name, state, tries, reason),) = feeding.objects("name, state, tries, reason")[:1]
    assert (name, state, tries) == ("bad.fasta", "waiting", 1)
    assert reason == "the process of its loader ended while it read this file"
    feeding.put_samples("s4")
    kill_while_reading(feeding, "s1", "s2", "s3", "s4", tries=2)
    feeding.manage.rows("UPDATE loader_bucketobject SET tries = 3 WHERE name = 'bad.fasta'")
    rejected = feeding.load()
    assert rejected.returncode == 10
    assert "bad.fasta: rejected: the process of its loader ended while it read this file, 3 times" in rejected.stdout
    assert "files_rejected" in feeding.manage("fnstatus", "--json").stdout
    feeding.assert_every_sample_is_in_once()


def test_files_that_were_read_when_a_loader_was_killed_are_as_before(feeding: Feeding) -> None:
    feeding.put("slow.fasta", b"no", created="2020-01-01T00:00:00Z")
    feeding.put_samples(*(f"s{number}" for number in range(30)))
    feeding.oci.faults({"kind": "hang", "name_prefix": "slow"})
    kill_while_reading(feeding)
    assert feeding.objects("read_since")[0] != (None,)
    feeding.oci.clear_faults()
    assert feeding.load().returncode == 10
    assert feeding.manage.rows("SELECT count(*) FROM loader_bucketobject WHERE read_since IS NOT NULL") == [(0,)]
    assert set(feeding.objects("state, tries")) == {("loaded", 0), ("rejected", 0)}
    feeding.assert_every_sample_is_in_once()
