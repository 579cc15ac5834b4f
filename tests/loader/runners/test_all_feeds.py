"""`fnload --all`: feeds of several servers side by side, feeds of one server in turns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta, mutant
from tests.support.feeding import LENGTH, REFERENCE, Feeding
from tests.support.waiting import stop, until

MANY = 700
"""More than a turn."""


@pytest.fixture
def second() -> Iterator[Fn4Sandbox]:
    """Another server."""
    with Fn4Sandbox(LENGTH) as fn4:
        yield fn4


def add(feeding: Feeding, folder: Path, name: str, fn4: Fn4Sandbox, *samples: str) -> None:
    """A feed of its own folder, with a file for each sample."""
    put(folder / name, *samples)
    assert feeding.manage("feed", "add", name, fn4.url, (folder / name).as_uri()).returncode == 0


def put(folder: Path, *samples: str) -> None:
    folder.mkdir(exist_ok=True)
    for number, sample in enumerate(samples):
        (folder / f"{sample}.fasta").write_bytes(fasta(sample, mutant(REFERENCE, number)))


def test_all_feeds_have_a_pass_and_the_worst_status_counts(
    feeding: Feeding, second: Fn4Sandbox, tmp_path: Path
) -> None:
    add(feeding, tmp_path, "a", feeding.fn4, "a1", "a2")
    add(feeding, tmp_path, "b", feeding.fn4, "b1")
    add(feeding, tmp_path, "c", second, "c1")
    feeding.manage("feed", "pause", "b", "--reason", "not now")
    told = feeding.manage("fnload", "--all", "--once", "--json")
    assert told.returncode == 0, told.stderr
    assert {json.loads(line)["feed"]: json.loads(line)["inserted"] for line in told.stdout.splitlines()} == {
        "a": 2,
        "c": 1,
    }
    assert (feeding.fn4.guids(), second.guids()) == (["a1", "a2"], ["c1"])

    (tmp_path / "c" / "bad.fasta").write_bytes(b"")
    assert feeding.manage("fnload", "--all", "--once").returncode == 10
    second.kill()
    put(tmp_path / "a", "a3")
    told = feeding.manage("fnload", "--all", "--once")
    assert (told.returncode, "c: " in told.stdout) == (1, True), told.stdout + told.stderr
    assert "a3" in feeding.fn4.guids(), "a server that is away keeps no other from being fed"


def test_a_daemon_notices_new_feeds_and_stops_after_its_inserts_in_flight(
    feeding: Feeding, second: Fn4Sandbox, tmp_path: Path
) -> None:
    add(feeding, tmp_path, "a", feeding.fn4, "a1")
    process = feeding.manage.start("fnload", "--all", "--interval", "0.2")
    until(lambda: feeding.fn4.guids() == ["a1"], "the first feed is loaded", process)
    for fn4 in (feeding.fn4, second):
        fn4.insert_seconds(1.5)
    add(feeding, tmp_path, "b", second, *(f"b{number}" for number in range(9)))
    put(tmp_path / "a", *(f"later{number}" for number in range(9)))
    until(lambda: feeding.fn4.stats()["in_flight"] and second.stats()["in_flight"], "both servers work", process)
    status, said = stop(process)
    assert (status, "Traceback" in said) == (0, False), said
    assert feeding.attempts("1", "outcome = 'open'") == []
    inserted = len(feeding.attempts("1", "outcome = 'inserted'"))
    assert inserted == len(feeding.fn4.guids()) + len(second.guids()), "what was in flight was finished and recorded"
    assert feeding.manage.rows("SELECT count(*) FROM loader_server WHERE lease_token <> ''") == [(0,)]
    assert feeding.manage.rows("SELECT count(*) FROM loader_feed WHERE running_since IS NOT NULL") == [(0,)]


def assert_the_small_feed_had_its_turn(feeding: Feeding) -> None:
    """The few of `b` came in before the last of the many of `a`, one insert at a time, and each batch stayed one."""
    order = "".join(guid[0] for guid in feeding.fn4.guids())
    assert (order.count("a"), order.count("b")) == (MANY, 2)
    assert order.index("b") < order.rindex("a")
    assert feeding.fn4.stats()["conflicts"] == 0
    loads = feeding.manage.rows("SELECT batch_size FROM fn4batchload WHERE finished IS NOT NULL AND batch_size > 0")
    assert sorted(loads) == [(2,), (MANY,)]
    assert feeding.attempts("outcome") == [("inserted",)] * (MANY + 2)


def test_feeds_of_one_server_take_turns_in_one_process(feeding: Feeding, tmp_path: Path) -> None:
    add(feeding, tmp_path, "a", feeding.fn4, *(f"a{number}" for number in range(MANY)))
    add(feeding, tmp_path, "b", feeding.fn4, "b1", "b2")
    assert feeding.manage("fnload", "--all", "--once").returncode == 0
    assert_the_small_feed_had_its_turn(feeding)


def test_a_loader_with_much_to_do_gives_way_to_another_one(feeding: Feeding, tmp_path: Path) -> None:
    put(tmp_path / "a", *(f"a{number}" for number in range(MANY)))
    put(tmp_path / "b", "b1", "b2")
    feeding.fn4.insert_seconds(0.01)
    urls = {name: (tmp_path / name).as_uri() for name in ("a", "b")}
    much = feeding.manage.start("fnload", feeding.fn4.url, urls["a"], "--once")
    until(lambda: feeding.fn4.stats()["samples"], "it has begun", much)
    few = feeding.manage.start("fnload", feeding.fn4.url, urls["b"])
    out, err = much.communicate(timeout=60)
    assert much.returncode == 0, out + err
    assert stop(few)[0] == 0
    assert_the_small_feed_had_its_turn(feeding)


def test_a_feed_that_is_paused_while_it_is_loaded_stops_after_the_insert_in_flight(feeding: Feeding) -> None:
    feeding.put_samples(*(f"s{number}" for number in range(50)))
    feeding.fn4.insert_seconds(0.3)
    process = feeding.start("--once")
    until(lambda: feeding.fn4.stats()["samples"], "it has begun", process)
    assert feeding.manage("feed", "pause", feeding.bucket, "--reason", "enough").returncode == 0
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "was paused" in err) == (1, True), out + err
    done = len(feeding.attempts("1", "outcome = 'inserted'"))
    assert done == len(feeding.fn4.guids()) < 50
    assert feeding.attempts("1", "outcome = 'open'") == []


def test_all_and_a_server_are_not_both_told(feeding: Feeding) -> None:
    assert feeding.manage("fnload", "--all", feeding.fn4.url, "file:///tmp").returncode == 2
    assert feeding.manage("fnload", feeding.fn4.url).returncode == 2
