"""`kill -9` of `batch import` and `batch clear` at random moments: nothing half done that a second run does not put right."""

from __future__ import annotations

import csv
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.moving import make

if TYPE_CHECKING:
    from subprocess import Popen

    from tests.support.batch_site import BatchSite
    from tests.support.site import Manage

pytest_plugins = ["tests.support.batch_site"]


def kill(process: Popen[str], delay: float) -> bool:
    """Kills it after so many seconds; False if it ended by itself."""
    time.sleep(delay)
    alive = process.poll() is None
    process.kill()
    process.communicate()
    return alive


def batches(manage: Manage) -> dict[str, tuple[int, int, int]]:
    """Of each batch: what it says of its records, how many it has, and how many of those have both outcomes."""
    sql = (
        "select b.bid, b.record_count, count(r.id), count(case when r.upload_outcome = 'success' then r.ingest_outcome end)"
        " from batches_batch b left join batches_batchrecord r on r.batch_id = b.id group by b.bid, b.record_count"
    )
    return {bid: (said, there, both) for bid, said, there, both in manage.rows(sql)}


def test_an_import_that_dies_has_taken_each_batch_whole_or_not_at_all_and_goes_on(
    manage: Manage, tmp_path: Path, chance: random.Random
) -> None:
    tracking = make(tmp_path, batches=20, records=30)
    for lines in sorted(chance.sample(range(18), 2)):
        process = manage.start("batch", "import", str(tracking))
        assert process.stdout
        for _ in range(lines):
            process.stdout.readline()
        kill(process, chance.random() * 0.02)
        found = batches(manage)
        assert len(found) >= lines
        assert set(found.values()) <= {(30, 30, 30)}, "a batch was taken in part"
    last = manage("batch", "import", str(tracking))
    assert last.returncode == 0, last.stderr
    found = batches(manage)
    assert (len(found), set(found.values())) == (20, {(30, 30, 30)})
    assert "20 unchanged" in manage("batch", "import", str(tracking)).stdout


def test_a_clear_that_dies_has_named_and_marked_all_that_it_deleted_and_goes_on(
    site: BatchSite, chance: random.Random
) -> None:
    own, others = [f"r{n}" for n in range(1_000)], ["x", "y"]
    site.seed(plc=own, plcb=others)
    clear = ("batch", "clear", "plc", "--even-if-ingesting", "--yes")
    reports = Path(site.manage.environment["REPORTS_DIR"]) / "plc"
    for _ in range(2):
        before = set(reports.glob("*.csv"))
        process = site.manage.start(*clear)
        while process.poll() is None and set(reports.glob("*.csv")) == before:
            time.sleep(0.001)
        kill(process, chance.random() * 0.1)
        there = set(site.s3.objects(site.bucket))
        gone = {one for one in own if site.key("plc", one) not in there}
        assert gone <= set(site.batch("plc")["uncertain"]), "an object was deleted, and its record does not say so"
        assert {site.key("plc", one) for one in gone} <= named(reports)
    assert site(*clear).returncode == 0
    assert set(site.s3.objects(site.bucket)) == {site.key("plcb", one) for one in others}
    batch = site.batch("plc")
    assert (set(batch["uncertain"]), batch["upload_oks"], batch["upload_errs"]) == (set(own), 0, 1_000)
    assert named(reports) == {site.key("plc", one) for one in own}


def named(reports: Path) -> set[str]:
    """All keys that the lists of deleted objects name."""
    keys: set[str] = set()
    for path in reports.glob("cleared_*.csv"):
        with path.open(newline="") as file:
            keys |= {row["key"] for row in csv.DictReader(file)}
    return keys
