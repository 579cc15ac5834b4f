"""Every worked sequence at the command line, against a real S3 server whose objects change between the listings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from batches.choices import Verdict
from batches.keys import prefix
from tests.batches.ingest.test_rule import WORKED

if TYPE_CHECKING:
    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]

STATUS = {Verdict.COMPLETE: 0, Verdict.COMPLETE_WITH_ERRORS: 10, Verdict.IN_PROGRESS: 11}


def follow(site: BatchSite, bid: str, counts: list[int]) -> None:
    """Before each listing, brings the bucket to the next count."""
    left = [site.key(bid, f"id{n}") for n in range(max(counts))]
    site.between.reset()

    def act(number: int) -> None:
        if number < len(counts):
            site.delete(*left[counts[number] :])
            del left[counts[number] :]

    site.between.before_listing = act


def test_every_worked_sequence_ends_as_it_should_and_nothing_is_asked_after_its_last_count(site: BatchSite) -> None:
    bids = [f"seq{n}" for n in range(len(WORKED))]
    site.seed(**{bid: [f"id{n}" for n in range(max(1, *one[0]))] for bid, one in zip(bids, WORKED, strict=True)})
    site.delete(site.key("seq0", "id0"))
    for bid, (counts, checks, rechecks, verdict) in zip(bids, WORKED, strict=True):
        follow(site, bid, counts)
        result = site.ingstat(bid, "--checks", str(checks), "--rechecks", str(rechecks), "--json")
        assert result.returncode == STATUS[verdict], (counts, result.stdout, result.stderr)
        (facts,) = json.loads(result.stdout)["batches"]
        assert [one["remaining"] for one in facts["counts"]] == counts
        assert facts["verdict"] == verdict
        assert facts["remaining"] == counts[-1]
        assert site.between.listings == len(counts)
    stored = site.manage.rows(
        "select b.bid, b.status, c.verdict, c.remaining, count(n.id) from batches_batch b"
        " join batches_ingestcheck c on c.batch_id = b.id join batches_ingestcount n on n.check_run_id = c.id"
        " group by b.bid, b.status, c.verdict, c.remaining order by b.bid"
    )
    assert [tuple(row) for row in stored] == [
        (bid, "uploaded" if verdict is Verdict.IN_PROGRESS else "ingested", verdict, counts[-1], len(counts))
        for bid, (counts, _checks, _rechecks, verdict) in zip(bids, WORKED, strict=True)
    ]


def test_it_says_each_count_as_it_comes_and_that_other_objects_are_a_change(site: BatchSite) -> None:
    site.seed(plc=["a", "b", "c"])

    def swap(number: int) -> None:
        if number == 1:
            site.delete(site.key("plc", "a"))
            site.s3.put(site.bucket, site.key("plc", "z"), b"")

    site.between.before_listing = swap
    result = site.ingstat("plc")
    assert result.returncode == 11
    first, second, last = result.stdout.splitlines()
    assert first.endswith("plc: 3 objects remaining (first count)")
    assert second.endswith("plc: 3 objects remaining (changed: same count but different objects)")
    assert last == "plc: ingest is still in progress, 3 objects remaining."


def test_it_sleeps_between_two_counts_as_long_as_it_is_told(site: BatchSite) -> None:
    site.seed(plc=["a"])
    result = site("ingstat", "plc", "--sleep", "0", "--rechecks", "2", "--json")
    assert result.returncode == 10
    assert len(json.loads(result.stdout)["batches"][0]["counts"]) == 4
    assert site.manage.rows("select sleep_seconds, checks, rechecks from batches_ingestcheck") == [(0.0, 1, 2)]


def test_of_several_batches_the_worst_status_counts(site: BatchSite) -> None:
    site.seed(done=["a"], errs=["b"], runs=["c", "d"])
    site.delete(site.key("done", "a"))

    def drain(_number: int) -> None:
        # Several batches are counted at a time: it is the second look at this one that finds less.
        if sum(f"prefix={prefix('runs')}" in path for path in site.between.listed) == 2:
            site.delete(site.key("runs", "c"))

    site.between.before_listing = drain
    result = site.ingstat("--all", "--json")
    facts = json.loads(result.stdout)
    assert [(one["id"], one["exit_status"]) for one in facts["batches"]] == [("done", 0), ("errs", 10), ("runs", 11)]
    assert result.returncode == facts["exit_status"] == 11
    assert site.ingstat("done", "errs").returncode == 10
    assert site.ingstat("done", "nobody", "errs").returncode == 1
    assert site.ingstat("done", "done").returncode == 0
