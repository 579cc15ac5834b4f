"""`kill -9` of `batch upload --all-mapped` at random moments: run again it continues, and nothing is sent or queued twice."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from sandbox.ingest import Ingest, ingested

if TYPE_CHECKING:
    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]

BATCHES = ("a", "b", "c", "d")
RECORDS = 60
KILLS = 8
WORDS = ("batch", "upload", "--all-mapped", "--at-once", "2", "--sleep", "0.05", "--rechecks", "20")


def test_it_continues_where_it_was_killed_while_uploading_and_while_following(
    site: BatchSite, chance: random.Random
) -> None:
    for bid in BATCHES:
        assert site("batch", "add", bid, str(site.files(bid, RECORDS))).returncode == 0
    log = site.folder / "ingested"
    with Ingest(site.s3.environ(), site.bucket, rate=100, log=log):
        for _ in range(KILLS):
            puts = len(site.between.puts) + chance.randrange(RECORDS // 2)
            process = site.manage.start(*WORDS)
            deadline = time.monotonic() + 3
            while process.poll() is None and len(site.between.puts) < puts and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(chance.random() * 0.5)
            process.kill()
            process.communicate()
        last = site(*WORDS, UPLOAD_STOP_SHARE="1")
    assert last.returncode in {0, 10}, last.stderr
    keys = [one.key for one in ingested(log)]
    assert len(keys) == len(set(keys)), "an object was put, ingested, and put again"
    assert len(site.between.puts) == len(set(site.between.puts)), "an object was put twice"
    for bid in BATCHES:
        batch = site.batch(bid)
        outcomes = batch["outcomes"]["upload"]
        assert batch["status"] == "ingested"
        assert set(outcomes) <= {"success", "uncertain"}
        assert sum(outcomes.values()) == RECORDS
    assert site.manage.rows("SELECT bid FROM batches_batch WHERE queued_at IS NOT NULL") == []
    steps = site.manage.rows("SELECT batch_id, count(*) FROM batches_batchstep WHERE kind = 'queue' GROUP BY 1")
    assert {number for _batch, number in steps} == {1}
