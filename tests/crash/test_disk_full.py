"""A full disk behind the output, the temporary files and the log; and an output that nobody reads any more."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import call_command

from batches.ingest.count import RemainingKeys
from core.commands import CommandError, FnloaderCommand
from core.id_reports import IdReport, RowKind
from core.temporary import temporary_database
from tests.support.feeding import Feeding
from tests.support.waiting import until

FULL = "The output could not be written: No space left on device. All else was done."
READERS = (
    "batch list",
    "batch list --json",
    "batch export",
    "batch objects plc --csv",
    "batch show plc",
    "batch objects plc",
    "batch records {ids} --csv",
    "feed list",
    "feed show tb --json",
    "sample {ids}",
    "fnstatus",
    "fnstatus --json",
)


@pytest.fixture
def ids(feeding: Feeding, tmp_path: Path) -> Path:
    """A list, where there are a batch and a feed."""
    path = tmp_path / "ids.txt"
    path.write_text("a\n")
    feeding.put_samples("a", "b")
    feeding.add_feed_and_batch(tmp_path)
    assert feeding.manage("batch", "upload", "plc").returncode == 0
    return path


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("unbuffered", "commands"), [("", READERS), ("1", READERS[:4])], ids=["at-its-end", "at-once"])
def test_a_command_that_can_not_be_heard_says_so(
    feeding: Feeding, ids: Path, unbuffered: str, commands: tuple[str, ...]
) -> None:
    for command in commands:
        line = command.format(ids=ids).split()
        with Path("/dev/full").open("w") as full:
            process = feeding.manage.start_into(full, *line, PYTHONUNBUFFERED=unbuffered)
            _, err = process.communicate(timeout=60)
        assert process.returncode in {1, 10}, command
        assert err.strip() == FULL, command
        reading, writing = os.pipe()
        os.close(reading)
        process = feeding.manage.start_into(writing, *line, PYTHONUNBUFFERED=unbuffered)
        os.close(writing)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (128 + signal.SIGPIPE, ""), command


def test_fnload_loads_on_while_its_log_is_full(feeding: Feeding) -> None:
    feeding.put_samples("a", "b")
    command = ("fnload", feeding.fn4.url, feeding.oci.namespace, feeding.bucket, "--interval", "0.1")
    with Path("/dev/full").open("w") as full:
        process = feeding.manage.start_into(full, *command)
        until(lambda: len(feeding.fn4.guids()) == 2, "both are in", process)
        feeding.put_samples("c")
        until(lambda: len(feeding.fn4.guids()) == 3, "the third is in", process)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (1, FULL)
    feeding.assert_every_sample_is_in_once()


def test_fnload_whose_reader_is_gone_ends_and_loses_nothing(feeding: Feeding) -> None:
    feeding.put_samples("a", "b")
    reading, writing = os.pipe()
    os.close(reading)
    command = ("fnload", feeding.fn4.url, feeding.oci.namespace, feeding.bucket)
    process = feeding.manage.start_into(writing, *command)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + signal.SIGPIPE, "")
    assert feeding.load().returncode == 0
    feeding.assert_every_sample_is_in_once()
    assert feeding.attempts("1", "outcome = 'open'") == []


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Files of this process can't grow beyond it (EFBIG): a disk that is full, for who is not root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill_database() -> None:
    with temporary_database("CREATE TABLE ids (id TEXT)") as database:
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30000) INSERT INTO ids SELECT i FROM n"
        )


def fill_keys() -> None:
    with RemainingKeys() as keys:
        keys.add(b"key\n" * 50_000)


def fill_report() -> None:
    with IdReport[tuple[str]](RowKind(tuple, ("id",)), ("missing",), ()) as report:
        for _ in range(300):
            report.add("missing", [("x" * 50_000,)])
        list(report)


@pytest.mark.parametrize("fill", [fill_database, fill_keys, fill_report])
def test_a_temporary_file_that_can_not_be_written_is_one_line(fill: object) -> None:
    class Command(FnloaderCommand):
        def run(self, **_: object) -> int:
            assert callable(fill)
            with no_file_above(100_000):
                fill()
            return 0

    with pytest.raises(CommandError, match=r"What was done before stands\.$") as caught:
        call_command(Command())
    assert "TMPDIR" in str(caught.value) or "temporary.sqlite3" in str(caught.value), str(caught.value)
