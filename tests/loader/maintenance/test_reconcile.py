"""`feed reconcile`: bucket, ledger and server compared sample by sample, and what was lost queued again."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loader.choices import FindingKind, LoadResult, ObjectState
from loader.feeds.manage import client_for
from loader.maintenance.reconcile import Reconciliation, reconciliation
from loader.models import BucketObject, Feed
from objectstores import open_store
from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta
from tests.support.feeding import LENGTH, REFERENCE, Feeding
from tests.support.feeds import MakeFeed, add_object


@pytest.fixture
def fn4() -> Iterator[Fn4Sandbox]:
    with Fn4Sandbox(LENGTH) as server:
        yield server


def compare(feed: Feed) -> tuple[dict[tuple[str, str], str], Reconciliation]:
    with (
        closing(open_store(feed.store_url)) as store,
        closing(client_for(feed)) as client,
        reconciliation(feed, store, client, "default") as compared,
    ):
        found = {(one.kind.value, one.guid): one.name for one in compared.differences()}
        compared.repair()
        return found, compared


def put(tmp_path: Path, feed: Feed, *names: str) -> dict[str, str]:
    """Files in the feed's folder; returns the version of each."""
    from core.digests import digest

    for name in names:
        (tmp_path / feed.name / name).write_bytes(b">x")
    with closing(open_store(feed.store_url)) as store:
        return {Path(item.name).name: digest(item.name, item.etag) for item in store.list()}


def test_each_difference_is_named_and_only_what_was_lost_waits_again(
    make_feed: MakeFeed, fn4: Fn4Sandbox, tmp_path: Path
) -> None:
    feed, other = make_feed("tb", fn4.url), make_feed("covid", fn4.url)
    versions = put(
        tmp_path, feed, "good.fasta", "lost.fasta", "bad.fasta", "new.fasta", "named.fasta", "two.fasta", "x.txt"
    )
    rows = {
        "good": {"guid": "good"},
        "lost": {"guid": "lost", "result": LoadResult.INSERTED},
        "named": {"guid": "id-in-file"},
        "two": {"guid": "two", "result": LoadResult.CONFLICTING},
    }
    for seqid, columns in rows.items():
        row = add_object(feed, seqid, ObjectState.LOADED, **columns)
        BucketObject.objects.filter(pk=row.pk).update(version=versions[f"{seqid}.fasta"], done_at=row.created)
    bad = add_object(feed, "bad", ObjectState.REJECTED, reason="it is empty")
    BucketObject.objects.filter(pk=bad.pk).update(version=versions["bad.fasta"])
    add_object(feed, "left", ObjectState.LOADED, guid="left")
    add_object(feed, "forgotten", ObjectState.LOADED, guid="forgotten")
    add_object(other, "covid-1", ObjectState.LOADED, guid="covid-1")
    for guid in ("good", "id-in-file", "two", "left", "stray", "covid-1"):
        fn4.insert(guid, REFERENCE)

    found, compared = compare(feed)
    assert set(found) == {
        ("lost", "lost"),
        ("lost_and_gone", "forgotten"),
        ("rejected", "bad"),
        ("not_loaded", "new"),
        ("other_name", "id-in-file"),
        ("conflicting", "two"),
        ("not_in_bucket", "left"),
        ("not_in_bucket", "stray"),
    }
    assert (compared.held, compared.listed) == (6, 6)
    waiting = BucketObject.objects.get(state=ObjectState.WAITING)
    assert (waiting.seqid, waiting.result, waiting.guid, waiting.done_at) == ("lost", "", "", None)


def test_a_server_that_was_restored_gets_back_what_it_lost(feeding: Feeding) -> None:
    feeding.put_samples("s1", "s2", "s3")
    feeding.load()
    assert feeding.manage("feed", "reconcile", feeding.bucket).returncode == 0
    feeding.fn4.forget("s2")
    unasked = feeding.manage("feed", "reconcile", feeding.bucket, "--repair")
    assert (unasked.returncode, "not queued" in unasked.stderr) == (1, True)
    told = feeding.manage("feed", "reconcile", feeding.bucket, "--repair", "--yes", "--json")
    difference, counts = [json.loads(line) for line in told.stdout.splitlines()]
    assert (told.returncode, difference["kind"], difference["guid"], difference["name"]) == (
        10,
        "lost",
        "s2",
        "s2.fasta",
    )
    assert (counts["counts"]["lost"], counts["queued"]) == (1, 1)
    assert feeding.load().returncode == 0
    assert feeding.fn4.guids() == ["s1", "s3", "s2"]
    assert feeding.objects("name, state") == [(f"s{number}.fasta", "loaded") for number in (1, 2, 3)]


def test_a_list_that_breaks_off_is_no_comparison(feeding: Feeding) -> None:
    feeding.put("s1.fasta", fasta("s1", REFERENCE))
    feeding.load()
    feeding.fn4.faults({"kind": "truncate", "method": "GET", "path": "guids"})
    told = feeding.manage("feed", "reconcile", feeding.bucket, "--repair", "--yes")
    assert told.returncode == 1, told.stdout
    assert feeding.objects("state") == [("loaded",)]


class ManySamples(BaseHTTPRequestHandler):
    """Answers `guids` with as many ids as its server is set to."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        for number in range(self.server.samples):  # type: ignore[attr-defined]
            self.wfile.write(b'%s"sample-%09d"' % (b"," if number else b"[", number))
        self.wfile.write(b"]")

    def log_message(self, *_words: object) -> None:
        pass


def test_its_memory_does_not_grow_with_the_server(make_feed: MakeFeed) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), ManySamples) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        feed = make_feed("tb", f"http://127.0.0.1:{server.server_port}")

        def peak(samples: int) -> int:
            server.samples = samples  # type: ignore[attr-defined]
            with (
                closing(open_store(feed.store_url)) as store,
                closing(client_for(feed)) as client,
                reconciliation(feed, store, client, "default") as compared,
            ):
                tracemalloc.start()
                assert sum(one.kind is FindingKind.NOT_IN_BUCKET for one in compared.differences()) == samples
                used = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            return used

        peak(1_000)
        assert peak(12_000) < 1.5 * peak(4_000) + 100_000
        server.shutdown()
        thread.join()
