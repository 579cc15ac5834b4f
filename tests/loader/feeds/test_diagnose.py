"""`feed test` tries every link of a feed in turn and names what is missing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now
from django.test import override_settings

from loader.choices import CircuitKind
from loader.feeds.diagnose import diagnose
from loader.feeds.diagnose_server import CheckedLink
from loader.feeds.server_urls import is_loopback
from loader.models import LoadAttempt, Server
from sandbox.clients import Fn4Sandbox
from sandbox.s3 import S3Sandbox
from tests.support.feeding import Feeding
from tests.support.feeds import MakeFeed
from tests.support.passes import Passes


def test_every_link_is_tried_and_nothing_is_loaded(feeding: Feeding) -> None:
    feeding.put_samples("s1")
    feeding.manage("feed", "add", "tb", feeding.fn4.url, feeding.oci.url(feeding.bucket))
    told = feeding.manage("feed", "test", "tb")
    assert told.returncode == 0, told.stdout + told.stderr
    assert [line[:7].strip() for line in told.stdout.splitlines()] == ["ok"] * 7
    assert "s1.fasta" in told.stdout
    assert "SANDBOX; version sandbox; reference of 600 letters; at most" in told.stdout
    assert "0 samples in its engine, 0 in its database" in told.stdout
    assert "sample gets through: 30,000 letters there and back" in told.stdout
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


def links_of(passes: Passes) -> dict[str, CheckedLink]:
    return {link.name: link for link in diagnose(passes.feed, "default")}


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 413}, {"kind": "truncate"}, {"kind": "reset"}])
def test_a_proxy_that_lets_no_full_sample_through_is_named(passes: Passes, fault: dict[str, object]) -> None:
    passes.fn4.faults({"method": "POST", "path": "mirror", **fault})
    link = links_of(passes)["sample gets through"]
    assert not link.ok
    assert "proxies before the server" in link.hint


def test_a_body_that_arrives_cut_is_told_with_how_much_of_it_came(passes: Passes) -> None:
    body = '{"guid": "fnloader-probe", "seq": "' + "ACGT" * 2000 + '"}'
    passes.fn4.faults({"method": "POST", "path": "mirror", "kind": "status", "status": 200, "body": body})
    link = links_of(passes)["sample gets through"]
    assert (link.ok, link.result) == (False, "of 30,000 letters only the first 8,000 arrived as they were sent")


def test_a_sample_as_long_as_the_reference_is_sent_too(make_feed: MakeFeed) -> None:
    with Fn4Sandbox(100_000) as fn4:
        links = {link.name: link for link in diagnose(make_feed(url=fn4.url), "default")}
        assert links["sample gets through"].result == "100,000 letters there and back"
        assert fn4.requests("POST") == 2
        assert fn4.guids() == []


def test_a_server_that_is_older_is_no_failure(passes: Passes) -> None:
    passes.fn4.faults(
        {"kind": "status", "status": 404, "path": "mirror"},
        {"kind": "status", "status": 404, "path": "server_memory_usage"},
    )
    assert all(link.ok for link in links_of(passes).values())


def test_an_engine_that_is_down_is_a_failure(passes: Passes) -> None:
    passes.fn4.engine_down()
    links = links_of(passes)
    assert (links["server answers"].ok, links["server engine"].ok) == (True, False)
    assert "start its engine" in links["server engine"].hint


def test_the_engine_is_asked_once_a_minute_also_here(passes: Passes) -> None:
    links_of(passes)
    passes.turn()
    links_of(passes)
    assert passes.fn4.stats()["memory_questions"] == 1


@override_settings(FN4_AUTH={"": "user:password"})
def test_warnings_are_no_failures(passes: Passes) -> None:
    links = links_of(passes)
    assert not {"server workers", "lock manager", "password"} & set(links)
    passes.fn4.workers(1)
    Server.objects.update(circuit_kind=CircuitKind.LOCKED, circuit_open_since=Now() - timedelta(minutes=5))
    links = links_of(passes)
    assert (links["server workers"].ok, links["server workers"].warning) == (True, True)
    assert "--drop_locks" in links["lock manager"].hint
    assert "password" not in links, "it stays on this host"
    assert all(link.ok for link in links.values())


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:5025", True),
        ("http://tb.localhost", True),
        ("http://127.0.0.5:1/x", True),
        ("http://[::1]:5025", True),
        ("http://fn4.example.org", False),
        ("http://10.0.0.1", False),
    ],
)
def test_what_is_on_this_host(url: str, here: bool) -> None:
    assert is_loopback(url) is here
