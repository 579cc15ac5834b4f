"""The local S3 server, and the proxy that makes it fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.faultproxy import FaultProxy
from sandbox.process import ROOT
from sandbox.s3 import S3Sandbox


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except FileNotFoundError:
        return True


def test_it_is_a_real_server_that_keeps_objects_and_checks_secrets(s3: S3Sandbox, bucket: str) -> None:
    s3.put(bucket, "folder/a b", b"content")
    s3.put_many(bucket, {"x": b"1", "y": b"2"})
    assert s3.objects(bucket) == ["folder/a b", "x", "y"]
    assert s3.objects(bucket, "folder/") == ["folder/a b"]
    assert s3.get(bucket, "folder/a b") == b"content"
    s3.delete(bucket, "x", "not there")
    assert s3.objects(bucket) == ["folder/a b", "y"]
    stranger = boto3.client("s3", **{**keys(s3), "aws_secret_access_key": "wrong"})
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.list_objects_v2(Bucket=bucket)
    stranger.close()


def keys(s3: S3Sandbox, endpoint: str = "") -> dict[str, str]:
    return {
        "endpoint_url": endpoint or s3.endpoint,
        "aws_access_key_id": s3.access_key,
        "aws_secret_access_key": s3.secret_key,
        "region_name": "us-east-1",
    }


def test_a_bucket_is_never_made_by_accident_nor_lost_with_its_objects(s3: S3Sandbox, bucket: str) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.put("no-such-bucket", "one", b"content")
    s3.put(bucket, "one", b"content")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.client.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError, match="BucketAlready"):
        s3.create_bucket(bucket)


def test_there_is_room_for_many_buckets(s3: S3Sandbox) -> None:
    for number in range(100):
        s3.create_bucket(f"many-{number}")
    s3.put("many-99", "one", b"x" * 5000)
    assert s3.get("many-99", "one") == b"x" * 5000


def test_killed_and_started_again_it_is_the_same_server() -> None:
    with S3Sandbox("first") as server:
        server.put("first", "one", b"content")
        before = (server.endpoint, server.secret_key)
        weed = server.server_pid
        server.kill()
        wait_until(lambda: is_gone(weed))
        server.start()
        assert (server.endpoint, server.secret_key) == before
        assert server.get("first", "one") == b"content"
        weed = server.server_pid
    assert is_gone(weed)


def test_it_ends_with_its_parent_and_leaves_nothing_behind(tmp_path: Path) -> None:
    script = (
        "import json, sys\nfrom sandbox.process import start\nchild = start(['s3'])\n"
        "print(json.dumps(child.ready), flush=True)\nsys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdin
    assert parent.stdout
    with parent.stdin, parent.stdout:
        ready = json.loads(parent.stdout.readline())
        assert list(tmp_path.glob("sandbox-s3-*"))
        parent.kill()
        parent.wait()
    wait_until(lambda: is_gone(ready["pid"]) and is_gone(ready["server_pid"]))
    assert list(tmp_path.iterdir()) == []
    assert not list(Path("/tmp").glob(f"seaweedfs-*-{ready['endpoint'].rpartition(':')[2]}.sock"))  # noqa: S108


def test_from_the_command_line_it_says_what_it_is_and_ends_at_ctrl_c() -> None:
    command = [sys.executable, "-m", "sandbox", "s3", "--bucket", "fast-import-bucket"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        ready = json.loads(process.stdout.readline())
        assert "for tests and demos only" in ready["note"]
        assert ready["buckets"] == ["fast-import-bucket"]
        assert ready["endpoint"].startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == b""
    wait_until(lambda: is_gone(ready["server_pid"]))


def test_through_the_proxy_signatures_stay_right_and_faults_come_when_asked_for(
    s3: S3Sandbox, s3_proxy: FaultProxy, bucket: str
) -> None:
    client = boto3.client("s3", **keys(s3, s3_proxy.endpoint))
    client.put_object(Bucket=bucket, Key="a b/é", Body=b"content")
    assert client.get_object(Bucket=bucket, Key="a b/é")["Body"].read() == b"content"
    assert client.head_object(Bucket=bucket, Key="a b/é")["ContentLength"] == 7
    s3_proxy.faults({"method": "DELETE", "name_prefix": "a b/", "kind": "status", "status": 403})
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=bucket, Key="a b/é")
    s3_proxy.clear_faults()
    client.delete_object(Bucket=bucket, Key="a b/é")
    assert s3.objects(bucket) == []
    assert [(one["method"], one["name"], one["status"]) for one in s3_proxy.log()] == [
        ("PUT", "a b/é", 200),
        ("GET", "a b/é", 200),
        ("HEAD", "a b/é", 200),
        ("DELETE", "a b/é", 403),
        ("DELETE", "a b/é", 204),
    ]
    client.close()


def test_a_proxy_whose_server_is_away_answers_502() -> None:
    with FaultProxy("http://127.0.0.1:9") as proxy, pytest.raises(urllib.error.HTTPError, match="502"):
        urllib.request.urlopen(f"{proxy.endpoint}/bucket", timeout=10)
