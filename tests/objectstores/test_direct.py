"""How an object is put over a bare socket: which answers are taken, which connections are kept, and what fails how."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from batches.upload.put import may_have_arrived
from objectstores import Misconfigured, Unavailable
from objectstores.http import Connections
from sandbox.s3 import S3Sandbox
from tests.support.raw_server import RawServer
from tests.support.tls_front import TlsFront

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: one\r\n\r\nok"


class Script(RawServer):
    """A server that gives the answers of its script, one to each request: its pieces; it hangs up after an empty one."""

    def __init__(self) -> None:
        self.answers: list[list[bytes] | None] = []
        self.requests: list[bytes] = []
        super().__init__()

    def answer_all(self, connection: socket.socket) -> None:
        while request := connection.recv(100_000):
            self.requests.append(request)
            pieces = self.answers.pop(0)
            for piece in pieces or []:
                connection.sendall(piece)
            if not pieces or not pieces[-1]:
                return


@pytest.fixture
def script() -> Iterator[Script]:
    server = Script()
    yield server
    server.close()


@pytest.fixture
def connections(script: Script) -> Iterator[Connections]:
    kept = Connections(script.endpoint, read_timeout=0.5)
    yield kept
    kept.close()


def put(connections: Connections, content: bytes = b"content") -> tuple[int, bytes]:
    answer = connections.send("PUT", "/b/key", {"host": "h"}, content)
    return answer.status, answer.body


WHOLE: dict[str, list[bytes]] = {
    "in one piece": [OK],
    "byte by byte": [OK[at : at + 1] for at in range(len(OK))],
    "in chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"],
    "after a word before it": [b"HTTP/1.1 100 Continue\r\n\r\n", OK],
    "of an old server": [OK.replace(b"1.1", b"1.0"), b""],
    "of a server that hangs up": [OK.replace(b"ETag: one", b"Connection: close"), b""],
    "without a reason": [b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\nok"],
}


@pytest.mark.parametrize("pieces", WHOLE.values(), ids=WHOLE)
def test_a_whole_answer_is_taken_however_it_comes(
    script: Script, connections: Connections, pieces: list[bytes]
) -> None:
    script.answers = [pieces, [OK]]
    assert put(connections) == (200, b"ok")
    assert put(connections) == (200, b"ok")
    assert len(script.requests) == 2


BROKEN: dict[str, list[bytes] | None] = {
    "none": None,
    "half a head": [OK[:20], b""],
    "half a body": [OK[:-1], b""],
    "half a chunk": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nok", b""],
    "of unknown length": [b"HTTP/1.1 200 OK\r\n\r\nok", b""],
    "of two lengths": [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", b""],
    "of another protocol": [b"SSH-2.0-OpenSSH\r\n\r\n", b""],
    "without an end": [b"HTTP/1.1 200 OK\r\n", *[b"X: %s\r\n" % (b"x" * 1000) for _ in range(200)], b""],
    "too late": [OK[:-1]],
}


@pytest.mark.parametrize("pieces", BROKEN.values(), ids=BROKEN)
def test_an_object_whose_answer_is_not_whole_may_have_arrived(
    script: Script, connections: Connections, pieces: list[bytes] | None
) -> None:
    script.answers = [pieces, [OK]]
    with pytest.raises(Unavailable, match=script.endpoint) as raised:
        put(connections)
    assert may_have_arrived(raised.value)
    assert len(script.requests) == 1
    assert put(connections) == (200, b"ok")
    assert script.connections == 2


def test_a_refusal_is_an_answer_with_its_body(script: Script, connections: Connections) -> None:
    script.answers = [[b"HTTP/1.1 503 Slow Down\r\nContent-Length: 4\r\n\r\nslow"], [OK]]
    assert put(connections) == (503, b"slow")
    assert put(connections) == (200, b"ok")
    assert script.connections == 1


def test_headers_are_asked_in_any_case(script: Script, connections: Connections) -> None:
    script.answers = [[OK]]
    headers = connections.send("PUT", "/b/key", {}, b"").headers
    assert (headers["etag"], headers.get("ETAG"), headers.get("date")) == ("one", "one", None)


def test_what_comes_behind_an_answer_is_not_taken_for_the_next_one(script: Script, connections: Connections) -> None:
    script.answers = [[OK + b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"], [OK]]
    assert put(connections) == (200, b"ok")
    assert put(connections) == (200, b"ok")
    assert script.connections == 2


def test_a_connection_that_was_closed_meanwhile_is_not_used(script: Script, connections: Connections) -> None:
    script.answers = [[OK, b""], [OK]]
    assert put(connections) == (200, b"ok")
    assert script.hung_up.wait(10), "the server hangs up, without having said so in its answer"
    assert put(connections) == (200, b"ok")
    assert script.connections == 2


def test_a_request_names_each_header_once(script: Script, connections: Connections) -> None:
    script.answers = [[OK]]
    connections.send("PUT", "/b/key", {"Host": "elsewhere", "content-length": "3", "x-one": "1"}, b"abc")
    head, _, body = script.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert (first, body) == ("PUT /b/key HTTP/1.1", b"abc")
    assert sorted(lines) == ["accept-encoding: identity", "content-length: 3", "host: elsewhere", "x-one: 1"]


@pytest.mark.parametrize("value", ["a\nb", "a\r\nx-evil: b", "a\r"])
def test_a_line_break_in_a_header_is_never_sent(script: Script, connections: Connections, value: str) -> None:
    with pytest.raises(Misconfigured, match="line break") as raised:
        connections.send("PUT", "/b/key", {"x-amz-security-token": value}, b"abc")
    assert not may_have_arrived(raised.value)
    assert script.connections == 0


def test_where_nobody_listens_nothing_has_arrived() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable, match="refused") as raised:
        put(Connections(f"http://127.0.0.1:{port}"))
    assert not may_have_arrived(raised.value)


@pytest.fixture
def front(script: Script, tmp_path: Path) -> Iterator[TlsFront]:
    with TlsFront(script.endpoint, tmp_path) as front:
        yield front


def test_tls_is_kept_and_checked(script: Script, front: TlsFront) -> None:
    script.answers = [[OK]] * 3
    trusting = Connections(front.url, ca_bundle=str(front.ca_bundle))
    assert [put(trusting, b"x" * size) for size in (1, 2, 3)] == [(200, b"ok")] * 3
    trusting.close()
    assert front.connections == 1


@pytest.mark.parametrize("bundle", [None, "no-such-file"])
def test_a_server_that_is_not_trusted_is_sent_nothing(script: Script, front: TlsFront, bundle: str | None) -> None:
    with pytest.raises(Misconfigured, match="CA bundle") as raised:
        put(Connections(front.url, ca_bundle=bundle))
    assert not may_have_arrived(raised.value)
    assert script.requests == []


def test_a_certificate_of_another_host_is_refused(script: Script, front: TlsFront) -> None:
    with pytest.raises(Misconfigured, match="certificate not trusted"):
        put(Connections(front.url.replace("localhost", "127.0.0.1"), ca_bundle=str(front.ca_bundle)))
    assert script.requests == []


def test_a_proxy_is_asked_for_a_tunnel(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", script.endpoint)
    script.answers = [[b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", b""]]
    with pytest.raises(Unavailable, match="407"):
        put(Connections("https://store.example"))
    assert script.requests[0].startswith(b"CONNECT store.example:443 ")


def test_many_threads_put_each_their_own(s3: S3Sandbox, bucket: str) -> None:
    from objectstores import open_store

    store = open_store(f"s3://{bucket}", s3.environ())
    names = [f"{number:03}" for number in range(200)]

    def some(part: int) -> None:
        for name in names[part::20]:
            store.write(name, name.encode())

    threads = [threading.Thread(target=some, args=(part,)) for part in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert s3.objects(bucket) == names
    assert {name: s3.get(bucket, name) for name in names} == {name: name.encode() for name in names}
    store.close()
