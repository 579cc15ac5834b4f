"""No way to the inside network: link-local and cloud metadata addresses are refused, and redirects are not followed."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from pytest_django.fixtures import Settings

from batches.ingest_log.cloudwatch import LogReadError, read_events
from batches.ingest_log.events import EventStore
from core import link_local
from core.alarms.base import Channel, DeliveryFailed
from core.alarms.channels import PingChannel, WebhookChannel
from core.alarms.chats import ChatChannel
from core.models import Alarm
from loader.fn4.client import FindNeighbour4
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from objectstores import Store, StoreError, open_store
from sandbox.clients import OciSandbox
from tests.support.raw_server import RawServer
from tests.support.receiver import Receiver

REFUSED = (
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "::ffff:169.254.169.254",
    "::ffff:6464:64c8",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
)
ALLOWED = (
    "127.0.0.1",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "fd12:3456::1",
    "8.8.8.8",
    "::ffff:10.0.0.1",
)
IN_URLS = (
    "169.254.169.254",
    "2852039166",
    "0xA9FEA9FE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[fd00:ec2::254]",
    "100.100.100.200",
)
WAYS: dict[str, Callable[[FindNeighbour4], object]] = {
    "question": lambda fn4: fn4.exists("s1"),
    "list": lambda fn4: list(fn4.guids()),
    "mirror": lambda fn4: fn4.mirror(8),
    "insert": lambda fn4: fn4.begin_insert("s1", b"ACGT"),
}


@pytest.fixture(autouse=True)
def this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that fails must not reach the metadata service of the machine that it runs on."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:  # noqa: ANN401 - of any family
        assert address[0] in {"127.0.0.1", "::1"}, f"connects to {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def use(way: str, url: str) -> object:
    """What a client does at this URL."""
    with closing(FindNeighbour4(url)) as fn4:
        return WAYS[way](fn4)


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_of_a_link_or_a_cloud_is_one_in_each_of_its_forms(address: str) -> None:
    assert link_local.is_link_local(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_this_machine_and_private_networks_are_not(address: str) -> None:
    assert not link_local.is_link_local(address)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", IN_URLS)
@pytest.mark.parametrize("way", WAYS)
def test_a_server_there_is_refused_with_the_name_of_the_setting(scheme: str, host: str, way: str) -> None:
    with pytest.raises(ServerMisconfigured, match="ALLOW_LINK_LOCAL=on"):
        use(way, f"{scheme}://{host}")


class Listener(RawServer):
    """Hangs up without a word; counts connections."""

    def answer_all(self, connection: socket.socket) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.close()


@pytest.fixture
def forbidden(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """A server at an address that is taken for link-local: no machine has one of those for tests."""
    monkeypatch.setattr(link_local, "NETWORKS", (ipaddress.ip_network("127.0.0.1/32"),))
    return listener


@pytest.mark.parametrize("way", WAYS)
def test_nothing_connects_to_it_unless_the_setting_allows_it(forbidden: Listener, settings: Settings, way: str) -> None:
    with pytest.raises(ServerMisconfigured):
        use(way, forbidden.endpoint)
    assert forbidden.connections == 0
    settings.ALLOW_LINK_LOCAL = True
    with suppress(ServerUnavailable):
        use(way, forbidden.endpoint)
    assert forbidden.hung_up.wait(5)


@pytest.mark.parametrize("way", WAYS)
def test_a_name_that_changes_its_address_is_checked_at_each_connection(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    asked, port = [], int(listener.endpoint.rpartition(":")[2])
    resolve = socket.getaddrinfo

    def rebound(host: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the standard library's
        if host != "rebound.example.org":
            return resolve(host, *arguments, **options)
        asked.append(host)
        return resolve("127.0.0.1" if len(asked) == 1 else "169.254.169.254", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    with closing(FindNeighbour4(f"http://rebound.example.org:{port}")) as fn4:
        with pytest.raises(ServerUnavailable):
            fn4.exists("s1")
        with pytest.raises(ServerMisconfigured, match=r"rebound\.example\.org leads to .* 169\.254\.169\.254"):
            WAYS[way](fn4)
    # What was checked is what was connected to: one look each.
    assert (len(asked), listener.connections) == (2, 1)


def test_one_such_address_among_several_is_enough(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, port = socket.getaddrinfo, listener.endpoint.rpartition(":")[2]
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda _host, *rest, **options: [
            *resolve("127.0.0.1", *rest, **options),
            *resolve("169.254.169.254", *rest, **options),
        ],
    )
    with pytest.raises(ServerMisconfigured):
        use("question", f"http://both.example.org:{port}")
    assert listener.connections == 0


CHANNELS: dict[str, Callable[[], Channel]] = {
    "webhook": WebhookChannel,
    "ping": PingChannel,
    "chat": lambda: ChatChannel(settings.ALARM_URLS[0]),
}


def send(channel: Channel) -> str:
    """Sends an alarm, and returns why that failed."""
    with pytest.raises(DeliveryFailed) as caught:
        channel.send([Alarm(what="x", level="wrong", raised_at=timezone.now())])
    return str(caught.value)


@pytest.mark.parametrize("name", ["webhook", "ping"])
def test_the_webhook_and_the_ping_do_not_lead_there(forbidden: Listener, settings: Settings, name: str) -> None:
    settings.ALARM_WEBHOOK_URL = settings.ALARM_PING_URL = forbidden.endpoint + "/T0KEN"
    text = send(CHANNELS[name]())
    assert "ALLOW_LINK_LOCAL=on" in text
    assert "T0KEN" not in text
    assert forbidden.connections == 0


STATUSES = (301, 302, 303, 307, 308)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", CHANNELS)
def test_no_alarm_follows_a_redirect(
    receiver: Receiver, listener: Listener, settings: Settings, name: str, status: int
) -> None:
    settings.ALARM_WEBHOOK_URL = settings.ALARM_PING_URL = receiver.url
    settings.ALARM_URLS = [f"json://{receiver.url.removeprefix('http://')}/?redirect=yes"]
    receiver.status, receiver.location = status, listener.endpoint
    send(CHANNELS[name]())
    assert (len(receiver.got), listener.connections) == (1, 0)


class Elsewhere(RawServer):
    """Redirects each request to `location`."""

    location, status = "", 302

    def answer_all(self, connection: socket.socket) -> None:
        with connection.makefile("rwb") as file:
            length = 0
            while (line := file.readline().strip()) or not length:
                name, _, value = line.lower().partition(b":")
                length = int(value) if name == b"content-length" else length
                if not line:
                    break
            file.read(length)
            head = f"HTTP/1.1 {self.status} Moved\r\nLocation: {self.location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            file.write(head.encode())


@pytest.fixture
def elsewhere(listener: Listener) -> Iterator[Elsewhere]:
    """A server, store or log that leads to `listener`."""
    server = Elsewhere()
    server.location = listener.endpoint + "/"
    yield server
    server.close()


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_redirects_is_not_followed(
    elsewhere: Elsewhere, listener: Listener, status: int, way: str
) -> None:
    elsewhere.status = status
    if way == "insert":
        with closing(FindNeighbour4(elsewhere.endpoint)) as fn4:
            assert fn4.begin_insert("s1", b"ACGT").wait().status == status
    else:
        with pytest.raises(ServerMisconfigured, match=str(status)):
            use(way, elsewhere.endpoint)
    assert (elsewhere.connections, listener.connections) == (1, 0)


AWS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
ACTS: dict[str, Callable[[Store], object]] = {
    "list": lambda store: list(store.list()),
    "read": lambda store: store.read("one"),
    "write": lambda store: store.write("one", b"content"),
    "delete": lambda store: store.delete(["one"]),
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("kind", ["s3", "oci"])
def test_a_store_that_redirects_is_not_followed(
    elsewhere: Elsewhere, listener: Listener, oci: OciSandbox, kind: str, act: str, status: int
) -> None:
    elsewhere.status = status
    if kind == "s3":
        store = open_store("s3://bucket", AWS | {"AWS_ENDPOINT_URL_S3": elsewhere.endpoint})
    else:
        store = open_store("oci://bucket@ns", oci.environ() | {"OCI_ENDPOINT": elsewhere.endpoint})
    with pytest.raises(StoreError, match=f"{status}|AWS_REGION"):
        ACTS[act](store)
    assert (elsewhere.connections, listener.connections) == (1, 0)


@pytest.mark.parametrize("status", STATUSES)
def test_a_log_that_redirects_is_not_followed(
    elsewhere: Elsewhere, listener: Listener, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    elsewhere.status = status
    for name, value in (AWS | {"AWS_ENDPOINT_URL_LOGS": elsewhere.endpoint}).items():
        monkeypatch.setenv(name, value)
    now = timezone.now()
    with EventStore() as events, pytest.raises(LogReadError):
        list(read_events(events, "/aws/lambda/ingest", now, now))
    assert (elsewhere.connections, listener.connections) == (1, 0)
