"""`kill -9` of `batch upload` at random moments, while the ingest takes objects away: nothing is ever sent twice."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

from batches.upload.sender import MAX_GROUP_SIZE
from sandbox.ingest import Ingest, ingested

if TYPE_CHECKING:
    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]

RECORDS = 500
KILLS = 10
PUTS = 50
"""Objects after which an upload is killed, at the most."""
SLACK = 32
"""Objects that may be put while the kill is under way; the others wait."""


def kill_after(site: BatchSite, puts: int, delay: float, *options: str) -> bool:
    """Starts an upload and kills it `delay` seconds after so many objects more were put; False if there were not so many.

    However fast the machine is, it can't end before: what goes beyond `SLACK` never reaches the bucket.
    """
    goal, killed = len(site.between.puts) + puts, threading.Event()

    def before_put(_key: str) -> int | None:
        time.sleep(0.004)  # as far away as a bucket on the same continent
        if len(site.between.puts) < goal + SLACK:
            return None
        killed.wait(60)
        return -1

    site.between.before_put = before_put
    process = site.manage.start("batch", "upload", "plc", *options)
    while process.poll() is None and len(site.between.puts) < goal:
        time.sleep(0.001)
    time.sleep(delay)
    alive = process.poll() is None
    process.kill()
    killed.set()
    process.communicate()
    return alive


def test_no_object_is_put_again_after_it_was_ingested_however_often_the_upload_dies(
    site: BatchSite, chance: random.Random
) -> None:
    log = site.folder / "ingested"
    assert site("batch", "add", "plc", str(site.files("plc", RECORDS))).returncode == 0
    with Ingest(site.s3.environ(), site.bucket, rate=400, log=log):
        killed = 0
        for _ in range(KILLS):
            killed += kill_after(site, chance.randrange(PUTS), chance.random() * 0.02)
            assert site.batch("plc")["outcomes"]["upload"].get("sending", 0) <= 2 * MAX_GROUP_SIZE
        site.between.before_put = lambda _key: None
        last = site("batch", "upload", "plc")
        deadline = time.monotonic() + 30
        while site.s3.objects(site.bucket) and time.monotonic() < deadline:
            time.sleep(0.05)
    keys = [one.key for one in ingested(log)]
    # A run puts or marks no more than this, and only one that has fewer left ends by itself.
    assert killed >= RECORDS // (PUTS + SLACK + 2 * MAX_GROUP_SIZE)
    assert len(keys) == len(set(keys)), "an object was put, ingested, and put again"
    assert len(site.between.puts) == len(set(site.between.puts)), "an object was put twice"
    batch = site.batch("plc")
    found = batch["outcomes"]["upload"]
    assert set(found) <= {"success", "uncertain"}
    assert last.returncode == (10 if "uncertain" in found else 0), last.stderr
    assert sum(found.values()) == RECORDS
    named = set(batch["uncertain"])
    assert len(named) == found.get("uncertain", 0)
    everything = {site.key("plc", f"A.{n:05}") for n in range(1, RECORDS + 1)}
    lost = everything - set(keys)
    assert lost <= {site.key("plc", one) for one in named}, "a record that never arrived is not named as uncertain"
    assert len(keys) >= found.get("success", 0)


def test_without_an_ingest_an_upload_that_died_is_completed(site: BatchSite) -> None:
    assert site("batch", "add", "plc", str(site.files("plc", 150))).returncode == 0
    assert kill_after(site, 40, 0)
    site.between.before_put = lambda _key: None
    unfinished = site.ingstat("plc")
    assert unfinished.returncode == 1
    assert "The upload of plc is unfinished" in unfinished.stderr
    result = site("batch", "upload", "plc")
    assert "of an upload that was cut off found in the bucket" in result.stdout
    again = site("batch", "upload", "plc", "--resend-uncertain")
    assert again.returncode == 0, again.stderr
    assert len(site.s3.objects(site.bucket)) == 150
    assert site.batch("plc")["upload_oks"] == 150


def test_a_batch_of_which_nothing_is_certain_ends_truthfully(site: BatchSite) -> None:
    site.between.before_put = lambda _key: -1  # nobody answers: it may have arrived
    assert site("batch", "add", "plc", str(site.files("plc", 3))).returncode == 0
    assert site("batch", "upload", "plc").returncode == 10
    batch = site.batch("plc")
    assert (batch["status"], batch["outcomes"]["upload"], batch["upload_oks"]) == ("uploaded", {"uncertain": 3}, 0)
    result = site.ingstat("plc")
    assert result.returncode == 0, result.stderr
    assert "plc: ingest is complete: 0 ingested, 0 remaining" in result.stdout
    assert "3 records not uploaded, or uncertain: manage.py batch show plc" in result.stdout
    batch = site.batch("plc")
    assert (batch["status"], batch["ingest_oks"], batch["upload_errs"]) == ("ingested", 0, 3)
    assert batch["outcomes"]["ingest"] == {"uncertain": 3}, "none is called a success, and none is sent again by itself"
