"""`feed test` tries every link of a feed in turn and names what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.feeds.diagnose import diagnose
from loader.models import LoadAttempt
from sandbox.s3 import S3Sandbox
from tests.support.feeding import Feeding
from tests.support.feeds import MakeFeed


def test_every_link_is_tried_and_nothing_is_loaded(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    feeding.manage("feed", "add", "tb", feeding.fn4.url, feeding.oci.url(feeding.bucket))
    told = feeding.manage("feed", "test", "tb")
    assert told.returncode == 0, told.stdout + told.stderr
    assert [line[:7].strip() for line in told.stdout.splitlines()] == ["ok"] * 5
    assert "s1.fasta" in told.stdout
    assert (feeding.fn4.guids(), feeding.attempts("1"), feeding.objects()) == ([], [], [])

    feeding.oci.faults({"kind": "status", "status": 404, "code": "BucketNotFound", "method": "GET"})
    denied = feeding.manage("feed", "test", "tb")
    assert denied.returncode == 1
    assert "FAILED store lists" in denied.stdout
    assert "OBJECT_INSPECT" in denied.stdout
    assert "ok     server answers" in denied.stdout, "what comes after a failed link is tried all the same"


def test_a_server_that_is_not_there_and_its_password_are_named(make_feed: MakeFeed, tmp_path: Path) -> None:
    feed = make_feed("tb-1")
    (tmp_path / "tb-1" / "s1.fasta").write_bytes(b">x")
    links = {link.name: link for link in diagnose(feed, "default")}
    assert [link.ok for link in links.values()] == [True, True, True, True, False]
    assert "FN4_AUTH_TB_1 is not set" in links["server answers"].hint
    assert not LoadAttempt.objects.exists(), "what was written to try the database is rolled back"


def test_credentials_that_are_not_there_are_named_by_their_variable(
    make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCI_CONFIG_FILE", "/nowhere/config")
    feed = make_feed("tb")
    feed.store_url = "oci://queue@lxxxx"
    opens = next(link for link in diagnose(feed, "default") if link.name == "store opens")
    assert (opens.ok, "OCI_CONFIG_FILE" in opens.hint) == (False, True)


def test_a_store_that_lists_in_another_order_is_named_and_not_a_failure(
    make_feed: MakeFeed, s3: S3Sandbox, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environ().items():
        monkeypatch.setenv(name, value)
    s3.put_many(bucket, {"a/1.fasta": b">x", "a-b/2.fasta": b">x"})
    feed = make_feed("tb")
    feed.store_url = f"s3://{bucket}"
    lists = next(link for link in diagnose(feed, "default") if link.name == "store lists")
    assert lists.ok
    assert "this store does not list in byte order, so names are sorted here" in lists.result


@pytest.mark.parametrize("with_file", [True, False])
def test_an_empty_store_is_no_failure(make_feed: MakeFeed, tmp_path: Path, with_file: bool) -> None:
    feed = make_feed("tb")
    if with_file:
        (tmp_path / "tb" / "readme.txt").write_bytes(b"")
    assert all(link.ok for link in diagnose(feed, "default") if link.name.startswith("store"))
