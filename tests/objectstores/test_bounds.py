"""Peers that never come to an end: dripping, endless, going round. Each exchange ends, and its waiting can be interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from time import monotonic, sleep

import pytest

from loader.fn4.client import FindNeighbour4
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from objectstores import StoreError, Unavailable, listing, open_store, retrying
from objectstores.wire import MAX_BODY, SLICE_SECONDS, while_waiting
from sandbox.clients import OciSandbox
from tests.support.raw_server import RawServer

pytestmark = pytest.mark.usefixtures("quick_retries")

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Page = Callable[[int], bytes]
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


class Endless(RawServer):
    """Sends `head`, and then `part` again and again, `pause` seconds apart."""

    head, part, pause = HEAD, b"", 0.0

    def answer_all(self, connection: socket.socket) -> None:
        """The same to every request."""
        connection.recv(65_536)
        connection.sendall(self.head)
        while True:
            connection.sendall(self.part)
            sleep(self.pause)


class Pages(RawServer):
    """Answers the n-th request with `page(n)`."""

    page: Page
    asked = 0

    def answer_all(self, connection: socket.socket) -> None:
        """One answer after the other."""
        while connection.recv(65_536):
            body = self.page(self.asked)
            self.asked += 1
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture
def endless() -> Iterator[Endless]:
    server = Endless()
    yield server
    server.close()


@pytest.fixture
def pages() -> Iterator[Pages]:
    server = Pages()
    yield server
    server.close()


def s3_settings(server: RawServer) -> dict[str, str]:
    return KEYS | {"AWS_ENDPOINT_URL_S3": server.endpoint, "STORE_READ_TIMEOUT": "0.25"}


DRIPS = {
    "status": (b"", b"H"),
    "header": (HEAD + b"x-long: ", b"a"),
    "body": (HEAD + b"Content-Length: 1000000\r\n\r\n", b"a"),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}


@pytest.mark.parametrize("where", DRIPS)
def test_what_drips_ends_after_ten_times_the_time_of_one_byte(
    endless: Endless, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "_MAX_ATTEMPTS", 1)
    (endless.head, endless.part), endless.pause = DRIPS[where], 0.02
    store = open_store("s3://bucket", s3_settings(endless))
    with pytest.raises(Unavailable, match=r"not complete within 2\.5 s"):
        store.write("object", b"content")
    with pytest.raises(Unavailable, match=r"not complete within 2\.5 s"):
        store.read("object")


def test_what_never_ends_is_not_held_in_memory(endless: Endless) -> None:
    endless.head, endless.part = HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + b"a" * 0x100000 + b"\r\n"
    store = open_store("s3://bucket", s3_settings(endless) | {"STORE_READ_TIMEOUT": "30"})
    for exchange in (lambda: store.read("object"), lambda: list(store.list())):
        with pytest.raises(StoreError, match=rf"exceeds the limit of {MAX_BODY}"):
            exchange()
    with pytest.raises(StoreError, match=r"more than 64,000,000 bytes"):
        store.write("object", b"content")


class Interrupted(Exception):
    """What somebody wants who waits."""


@pytest.mark.parametrize("pause", [0.05, 100.0], ids=["drips", "silent"])
@pytest.mark.parametrize("kind", ["store", "server"])
def test_who_waits_is_called_each_second_and_may_end_it(
    endless: Endless, kind: str, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endless.endpoint)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    endless.head, endless.part, endless.pause = HEAD + b"Content-Length: 1000000\r\n\r\n", b"a", pause
    calls = []

    def end_the_second_time() -> None:
        calls.append(monotonic())
        if len(calls) == 2:
            raise Interrupted

    wait = (
        (lambda: open_store("s3://bucket").read("object"))
        if kind == "store"
        else FindNeighbour4(endless.endpoint).probe
    )
    with pytest.raises(Interrupted), while_waiting(end_the_second_time):
        wait()
    assert calls[1] - calls[0] >= SLICE_SECONDS * 0.9


def s3_page(names: list[str], token: str) -> bytes:
    entries = "".join(
        f"<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>e</ETag><Size>1</Size></Contents>"
        for name in names
    )
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return f"<ListBucketResult>{entries}{more}</ListBucketResult>".encode()


S3_LOOPS: dict[str, tuple[Page, str]] = {
    "token": (lambda n: s3_page([], "ab"[n % 2]), r"token 'a' came twice"),
    "page": (lambda n: s3_page(["b", "a"], f"t{n}"), r"name 'b' came twice"),
    "empty": (lambda n: s3_page([], f"t{n}"), r"does not end: 300 pages without a name"),
}


@pytest.fixture
def few_empty_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test needs hundreds of them."""
    monkeypatch.setattr(listing, "MAX_EMPTY_PAGES", 300)


@pytest.mark.usefixtures("few_empty_pages")
@pytest.mark.parametrize("loop", S3_LOOPS)
@pytest.mark.parametrize("method", ["list", "names"])
def test_a_listing_of_s3_that_goes_round_or_never_ends_is_an_error(pages: Pages, loop: str, method: str) -> None:
    pages.page, says = S3_LOOPS[loop]
    store = open_store("s3://bucket", s3_settings(pages) | {"STORE_READ_TIMEOUT": "30"})
    with pytest.raises(StoreError, match=says):
        list(getattr(store, method)())


@pytest.mark.usefixtures("few_empty_pages")
def test_a_listing_of_oci_that_never_ends_is_an_error(pages: Pages, oci: OciSandbox) -> None:
    pages.page = lambda n: b'{"objects": [], "nextStartWith": "%09d"}' % n
    store = open_store("oci://bucket@ns", oci.environ() | {"OCI_ENDPOINT": pages.endpoint})
    with pytest.raises(StoreError, match=r"does not end"):
        list(store.list())


@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["lists", "objects"])
def test_json_that_is_nested_too_deeply_is_malformed(pages: Pages, oci: OciSandbox, opening: bytes) -> None:
    pages.page = lambda _n: opening * 200_000
    store = open_store("oci://bucket@ns", oci.environ() | {"OCI_ENDPOINT": pages.endpoint})
    with pytest.raises(Unavailable, match=r"malformed page"):
        list(store.list())
    server = FindNeighbour4(pages.endpoint)
    with pytest.raises(ServerMisconfigured, match=r"not a findNeighbour4 server"):
        server.exists("s1")
    assert server.begin_insert("s1", b"ACGT").wait().kind.name == "MISCONFIGURED"
    with pytest.raises((ServerMisconfigured, ServerUnavailable)):
        server.count()


@pytest.mark.parametrize("part", [b'"' + b"a" * 1_000_000, b"[" * 1_000_000], ids=["text", "lists"])
def test_an_endless_list_of_samples_is_not_held_in_memory(endless: Endless, part: bytes) -> None:
    endless.head, endless.part = HEAD + b"\r\n[", part.replace(b'"', b"")
    if part.startswith(b'"'):
        endless.head += b'"'
    with pytest.raises((ServerMisconfigured, ServerUnavailable), match=r"list of (ids|samples)"):
        FindNeighbour4(endless.endpoint).count()
