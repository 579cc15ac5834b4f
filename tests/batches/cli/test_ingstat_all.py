"""`ingstat --all`: several batches at a time, one summary, the worst exit status."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from batches.ingest.parallel import RunCancelled, Sleep, run_parallel

if TYPE_CHECKING:
    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]


def test_batches_are_counted_side_by_side_and_summed_up(site: BatchSite) -> None:
    site.seed(done=["a"], errs=["a", "b"], gone=["a"], more=["a"])
    site.delete(site.key("done", "a"))
    site.manage.rows("update batches_batch set store_url = 's3://no-such-bucket' where bid = 'gone'")
    together = threading.Barrier(3)
    # Only if these three counts are under way at the same time does any of them come to its end.

    def meet(number: int) -> None:
        if number < 3:
            together.wait(60)

    site.between.before_listing = meet
    result = site.ingstat("--all")
    assert not together.broken
    assert result.returncode == 1
    assert "Could not check gone" in result.stderr
    assert result.stdout.splitlines()[-4:] == [
        "4 batches:",
        "  failed: gone",
        "  complete, but has errors: errs more",
        "  complete: done",
    ]
    found = site.manage.rows("select bid, status, ingest_errs from batches_batch order by bid")
    assert found == [
        ("done", "ingested", 0),
        ("errs", "ingested", 2),
        ("gone", "uploaded", None),
        ("more", "ingested", 1),
    ]


def test_more_batches_than_threads_are_all_checked_in_order(site: BatchSite) -> None:
    names = [f"b{n:02}" for n in range(10)]
    site.seed(**{name: ["a"] for name in names})
    result = site.ingstat("--all", "--json")
    assert result.returncode == 10, result.stderr
    facts = json.loads(result.stdout)
    assert [one["id"] for one in facts["batches"]] == names
    assert {one["exit_status"] for one in facts["batches"]} == {10}


def test_an_interrupted_run_ends_all_its_checks_without_a_result(site: BatchSite) -> None:
    import signal

    site.seed(one=["a"], two=["a"])
    process = site.manage.start("ingstat", "--all", "--sleep", "3600")
    assert process.stdout
    first = [process.stdout.readline() for _ in range(2)]
    assert all("1 object remaining" in line for line in first)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, (out, err)
    assert "Traceback" not in err
    assert site.manage.rows("select distinct status from batches_batch") == [("uploaded",)]


@pytest.mark.django_db
def test_an_error_ends_the_others_and_is_raised() -> None:
    stopped = threading.Event()

    def function(item: int, sleep: Sleep) -> None:
        if item:
            raise ValueError("one of them")
        try:
            sleep(3600)
        except RunCancelled:
            stopped.set()
            raise

    with pytest.raises(ValueError, match="one of them"):
        run_parallel(function, [0, 1, 2, 3], max_threads=2)
    assert stopped.wait(60)
