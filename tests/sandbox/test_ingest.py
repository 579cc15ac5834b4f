"""The process that plays the ingest Lambda."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

from sandbox.faultproxy import FaultProxy
from sandbox.ingest import Ingest, ingested
from sandbox.process import ROOT
from sandbox.s3 import S3Sandbox
from tests.support.waiting import wait_until


def key(batch: str, identifier: str) -> str:
    return base64.urlsafe_b64encode(f"{batch}|/collectionobjects|{identifier}|CREATE".encode()).decode()


def fill(s3: S3Sandbox, bucket: str, count: int, batch: str = "b1") -> list[str]:
    keys = [key(batch, f"A.{number:04}") for number in range(count)]
    s3.put_many(bucket, dict.fromkeys(keys, b"<xml/>"))
    return keys


def test_it_takes_out_what_it_ingests_and_writes_each_down_once(s3: S3Sandbox, bucket: str, tmp_path: Path) -> None:
    keys = fill(s3, bucket, 120)
    log = tmp_path / "log"
    with Ingest(s3.environ(), bucket, rate=2000, log=log):
        wait_until(lambda: not s3.objects(bucket))
    lines = ingested(log)
    assert sorted(line.key for line in lines) == sorted(keys)
    assert all(line.ok and line.etag for line in lines)


def test_it_leaves_every_so_many_behind(s3: S3Sandbox, bucket: str, tmp_path: Path) -> None:
    keys = fill(s3, bucket, 50)
    log = tmp_path / "log"
    with Ingest(s3.environ(), bucket, rate=2000, fail_every=10, log=log):
        wait_until(lambda: len(s3.objects(bucket)) == 5)
        wait_until(lambda: len(ingested(log)) == 50)
    failed = [line.key for line in ingested(log) if not line.ok]
    assert sorted(s3.objects(bucket)) == sorted(failed)
    assert len(failed) == 5
    assert len({line.key for line in ingested(log)}) == len(keys)


def test_it_leaves_those_behind_that_are_named(s3: S3Sandbox, bucket: str, tmp_path: Path) -> None:
    fill(s3, bucket, 20)
    names = tmp_path / "names"
    names.write_text("A.0003\nA.0017\n")
    with Ingest(s3.environ(), bucket, rate=2000, fail_identifiers=names):
        wait_until(lambda: len(s3.objects(bucket)) == 2)
    assert s3.objects(bucket) == sorted([key("b1", "A.0003"), key("b1", "A.0017")])


def test_it_touches_only_keys_that_begin_as_told(s3: S3Sandbox, bucket: str) -> None:
    fill(s3, bucket, 10, "b1")
    others = fill(s3, bucket, 10, "zz")
    with Ingest(s3.environ(), bucket, rate=2000, prefix=key("b1", "")[:3]):
        wait_until(lambda: len(s3.objects(bucket)) == 10)
    assert s3.objects(bucket) == sorted(others)


def test_it_works_at_a_set_speed(s3: S3Sandbox, bucket: str, tmp_path: Path) -> None:
    fill(s3, bucket, 60)
    log = tmp_path / "log"
    with Ingest(s3.environ(), bucket, rate=0.5, log=log):
        wait_until(lambda: len(ingested(log)) >= 1)
        # All of them would take two minutes.
        assert len(s3.objects(bucket)) > 30


def test_an_object_that_is_put_again_shows_in_the_log(s3: S3Sandbox, bucket: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Ingest(s3.environ(), bucket, rate=2000, log=log):
        for times in (1, 2):
            s3.put(bucket, key("b1", "A.1"), b"<xml/>")
            wait_until(lambda times=times: len(ingested(log)) == times and not s3.objects(bucket))  # type: ignore[misc]
    assert [line.key for line in ingested(log)] == [key("b1", "A.1")] * 2


def test_faults_of_the_store_neither_end_it_nor_make_it_ingest_twice(
    s3: S3Sandbox, s3_proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    keys = fill(s3, bucket, 30)
    log = tmp_path / "log"
    s3_proxy.faults({"method": "POST", "kind": "reset", "when": "after", "every": 2, "times": 3})
    s3_proxy.faults({"method": "GET", "kind": "status", "status": 503, "after": 2, "times": 2})
    with Ingest(s3.environ(s3_proxy.endpoint), bucket, rate=200, log=log):
        wait_until(lambda: not s3.objects(bucket))
    assert sorted(line.key for line in ingested(log)) == sorted(keys)


def test_a_bucket_that_is_not_there_is_said_at_the_start(s3: S3Sandbox) -> None:
    command = [sys.executable, "-m", "sandbox", "ingest", "--bucket", "no-such-bucket", "--endpoint", s3.endpoint]
    done = subprocess.run(command, cwd=ROOT, env=s3.environ(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "NoSuchBucket" in done.stderr
    assert "Traceback" not in done.stderr
