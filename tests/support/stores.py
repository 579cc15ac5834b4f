"""Real stores for tests: servers for the test session, and a new bucket for each test."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from objectstores import Store, open_store, retrying
from sandbox.clients import OciSandbox
from sandbox.faultproxy import FaultProxy
from sandbox.s3 import S3Sandbox

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Sandbox]:
    """A real S3 server."""
    with S3Sandbox() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Sandbox) -> str:
    """The name of a new bucket in it."""
    name = f"bucket-{next(_numbers)}-{secrets.token_hex(3)}"
    s3.create_bucket(name)
    return name


@pytest.fixture(scope="session")
def s3_proxy_process(s3: S3Sandbox) -> Iterator[FaultProxy]:
    """A proxy before it, for `s3_proxy`, which begins without faults."""
    with FaultProxy(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture
def s3_proxy(s3_proxy_process: FaultProxy) -> FaultProxy:
    """A proxy before `s3`, for faults on demand; point clients at it with `s3.environ(s3_proxy.endpoint)`."""
    s3_proxy_process.clear_faults()
    s3_proxy_process.clear_log()
    return s3_proxy_process


@pytest.fixture(scope="session")
def oci_process() -> Iterator[OciSandbox]:
    """An OCI Object Storage stand-in, for `oci`, which begins without faults."""
    with OciSandbox() as server:
        yield server


@pytest.fixture
def oci(oci_process: OciSandbox) -> OciSandbox:
    """An OCI Object Storage stand-in that verifies signatures."""
    oci_process.clear_faults()
    oci_process.clear_log()
    return oci_process


@pytest.fixture
def oci_bucket(oci: OciSandbox) -> Iterator[str]:
    """The name of a new bucket in it."""
    name = f"queue-{next(_numbers)}"
    oci.add_bucket(name)
    yield name
    oci.remove_bucket(name)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of this process retry almost without a pause."""
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.01)


@dataclass
class StoreLocation:
    """A location for objects: its URL, its settings, and a function to put objects without our store."""

    kind: str
    url: str
    settings: Mapping[str, str]
    put_many: Callable[[Mapping[str, bytes]], None]
    _stack: ExitStack

    def open(self, prefix: str = "", **settings: str) -> Store:
        """Its store, closed at the end of the test."""
        store = open_store(f"{self.url}/{prefix}" if prefix else self.url, {**self.settings, **settings})
        self._stack.callback(store.close)
        return store


@pytest.fixture(params=["file", "s3", "oci"])
def place(request: pytest.FixtureRequest) -> Iterator[StoreLocation]:
    """A location of each kind in turn."""
    kind = request.param
    with ExitStack() as stack:
        yield request.getfixturevalue(f"{kind}_place")(stack)


@pytest.fixture
def file_place(tmp_path: Path) -> Callable[[ExitStack], StoreLocation]:
    """A folder."""

    def put_many(objects: Mapping[str, bytes]) -> None:
        for name, content in objects.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)

    return lambda stack: StoreLocation(
        "file", tmp_path.as_uri(), {"FILE_STORES": str(tmp_path.parent)}, put_many, stack
    )


@pytest.fixture
def s3_place(s3: S3Sandbox, bucket: str) -> Callable[[ExitStack], StoreLocation]:
    """A new bucket of the S3 server."""
    return lambda stack: StoreLocation(
        "s3", f"s3://{bucket}", s3.environ(), lambda all_: s3.put_many(bucket, all_), stack
    )


@pytest.fixture
def oci_place(oci: OciSandbox, oci_bucket: str) -> Callable[[ExitStack], StoreLocation]:
    """A new bucket of the OCI stand-in."""
    return lambda stack: StoreLocation(
        "oci", oci.url(oci_bucket), oci.environ(), lambda all_: oci.put_many(oci_bucket, all_), stack
    )
