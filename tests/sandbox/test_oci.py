"""The OCI stand-in, driven by the real SDK: what it answers, what it refuses, and how it fails on demand."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import oci
import pytest
import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.clients import ControlCallError, OciSandbox
from sandbox.process import ROOT, Child, StartError, alive, start

NAMESPACE = "lxtest"
ODD_NAMES = ["A", "B", "a", "a b+c%d=e", "a-b.fasta", "a/b.fasta", "é.fasta", "日本", "😀", "x" * 1000]
numbers = itertools.count()
Client = Any  # the SDK has no types


@pytest.fixture(scope="module")
def box() -> Iterator[OciSandbox]:
    with OciSandbox("first", namespace=NAMESPACE) as running:
        yield running


@pytest.fixture
def bucket(box: OciSandbox) -> Iterator[str]:
    name = f"FN4-queue-{next(numbers)}"
    box.add_bucket(name)
    yield name
    box.clear_faults()
    box.remove_bucket(name)


def client_of(box: OciSandbox, signer: Client = None, read_timeout: float = 10) -> Client:
    return oci.object_storage.ObjectStorageClient(
        oci.config.from_file(box.config_file),
        service_endpoint=box.endpoint,
        retry_strategy=oci.retry.NoneRetryStrategy(),
        circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
        timeout=(5, read_timeout),
        **({"signer": signer} if signer else {}),
    )


@pytest.fixture(scope="module")
def client(box: OciSandbox) -> Client:
    return client_of(box)


def all_pages(client: Client, bucket: str, **query: object) -> list[Any]:
    pages: list[Any] = []
    start = query.pop("start", None)
    while True:
        data = client.list_objects(NAMESPACE, bucket, **query, **({"start": start} if start else {})).data
        pages.append(data)
        start = data.next_start_with
        if not start:
            return pages


def names_in(pages: list[Any]) -> list[str]:
    return [one.name for page in pages for one in page.objects]


def test_it_knows_its_namespace_and_buckets(client: Client, bucket: str) -> None:
    assert client.get_namespace().data == NAMESPACE
    assert client.get_bucket(NAMESPACE, bucket).data.name == bucket
    assert client.head_bucket(NAMESPACE, bucket).status == 200


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_object_is_written_read_and_deleted_under_any_name(client: Client, bucket: str, name: str) -> None:
    content = os.urandom(3000)
    etag = client.put_object(NAMESPACE, bucket, name, content).headers["etag"]
    answer = client.get_object(NAMESPACE, bucket, name)
    assert answer.data.content == content
    assert answer.headers["etag"] == etag
    head = client.head_object(NAMESPACE, bucket, name)
    assert head.headers["content-md5"] == answer.headers["content-md5"]
    assert int(head.headers["content-length"]) == 3000
    client.delete_object(NAMESPACE, bucket, name)
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        client.get_object(NAMESPACE, bucket, name)
    assert (refused.value.status, refused.value.code) == (404, "ObjectNotFound")
    assert refused.value.request_id.startswith("sandbox:")


def test_a_listing_pages_at_1000_in_the_order_of_utf8_names(box: OciSandbox, client: Client, bucket: str) -> None:
    names = [*ODD_NAMES, *(f"s{number}.fasta" for number in range(2500))]
    box.put_many(bucket, dict.fromkeys(names, b">x\nACGT\n"))
    pages = all_pages(client, bucket, limit=1000)
    assert [len(page.objects) for page in pages] == [1000, 1000, 510]
    assert names_in(pages) == sorted(names, key=str.encode)


def test_a_listing_has_the_fields_that_are_asked_for(box: OciSandbox, client: Client, bucket: str) -> None:
    box.put(bucket, "parts", b"abc", created="2024-02-03T04:05:06.789Z", md5=None)
    box.put(bucket, "whole", b"abc")
    fields = "name,size,etag,md5,timeCreated,timeModified,storageTier,archivalState"
    parts, whole = client.list_objects(NAMESPACE, bucket, fields=fields).data.objects
    assert (parts.size, parts.md5, parts.time_created.isoformat()) == (3, None, "2024-02-03T04:05:06.789000+00:00")
    assert (whole.md5, whole.storage_tier) == ("kAFQmDzST7DWlj99KOF/cg==", "Standard")
    bare = client.list_objects(NAMESPACE, bucket).data.objects[0]
    assert (bare.name, bare.size, bare.etag) == ("parts", None, None)


def test_a_listing_can_be_narrowed(box: OciSandbox, client: Client, bucket: str) -> None:
    box.put_many(bucket, dict.fromkeys(["a", "b/1", "b/2", "b/c/3", "b0", "c"], b"x"))

    def listed(**query: object) -> list[str]:
        return names_in(all_pages(client, bucket, **query))

    assert listed(prefix="b/") == ["b/1", "b/2", "b/c/3"]
    assert listed(start="b/2") == ["b/2", "b/c/3", "b0", "c"]
    assert listed(start_after="b/2", end="c") == ["b/c/3", "b0"]
    assert listed(limit=1) == ["a", "b/1", "b/2", "b/c/3", "b0", "c"]
    folders = all_pages(client, bucket, delimiter="/")[0]
    assert (names_in([folders]), folders.prefixes) == (["a", "b0", "c"], ["b/"])


def test_a_synthetic_bucket_computes_its_objects(box: OciSandbox, client: Client) -> None:
    box.add_bucket("synthetic", synthetic=100_000)
    pages = all_pages(client, "synthetic", start="S00097500.fasta", fields="name,size,md5")
    assert [len(page.objects) for page in pages] == [1000, 1000, 500]
    last = pages[-1].objects[-1]
    answer = client.get_object(NAMESPACE, "synthetic", last.name)
    assert answer.data.content.startswith(b">GPAS_SP3|S00099999\nACGT")
    assert (answer.headers["content-md5"], len(answer.data.content)) == (last.md5, last.size)
    box.put("synthetic", "Z", b"new")
    assert box.delete("synthetic", last.name)
    assert names_in(all_pages(client, "synthetic", start="S00099998.fasta")) == ["S00099998.fasta", "Z"]


def test_if_none_match_keeps_what_is_there(client: Client, bucket: str) -> None:
    client.put_object(NAMESPACE, bucket, "a", b"first", if_none_match=r"*")
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        client.put_object(NAMESPACE, bucket, "a", b"second", if_none_match=r"*")
    assert (refused.value.status, refused.value.code) == (412, "IfNoneMatchFailed")
    assert client.get_object(NAMESPACE, bucket, "a").data.content == b"first"


def test_if_match_refuses_another_version(client: Client, bucket: str) -> None:
    old = client.put_object(NAMESPACE, bucket, "a", b"first").headers["etag"]
    new = client.put_object(NAMESPACE, bucket, "a", b"second").headers["etag"]
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        client.get_object(NAMESPACE, bucket, "a", if_match=old)
    assert (refused.value.status, refused.value.code) == (412, "IfMatchFailed")
    assert client.get_object(NAMESPACE, bucket, "a", if_match=new).data.content == b"second"


def test_a_range_is_a_part(client: Client, bucket: str) -> None:
    client.put_object(NAMESPACE, bucket, "a", b"0123456789")
    for wanted, part in {"bytes=2-4": b"234", "bytes=7-": b"789", "bytes=-2": b"89", "bytes=8-99": b"89"}.items():
        answer = client.get_object(NAMESPACE, bucket, "a", range=wanted)
        assert (answer.status, answer.data.content) == (206, part)
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        client.get_object(NAMESPACE, bucket, "a", range="bytes=10-")
    assert refused.value.status == 416


def test_an_archived_object_is_listed_but_not_read(box: OciSandbox, client: Client, bucket: str) -> None:
    box.put(bucket, "cold", b"abc", archived=True)
    listed = client.list_objects(NAMESPACE, bucket, fields="archivalState,storageTier").data.objects[0]
    assert (listed.storage_tier, listed.archival_state) == ("Archive", "Archived")
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        client.get_object(NAMESPACE, bucket, "cold")
    assert (refused.value.status, refused.value.code) == (409, "NotRestored")


def test_an_upload_with_a_wrong_checksum_is_refused(client: Client, bucket: str) -> None:
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        client.put_object(NAMESPACE, bucket, "a", b"abc", content_md5="AAAAAAAAAAAAAAAAAAAAAA==")
    assert (refused.value.status, refused.value.code) == (400, "UnmatchedContentMD5")


def test_an_unknown_bucket_or_namespace_is_404(client: Client, bucket: str) -> None:
    for namespace, name, code in ((NAMESPACE, "nowhere", "BucketNotFound"), ("other", bucket, "NamespaceNotFound")):
        with pytest.raises(oci.exceptions.ServiceError) as refused:
            client.list_objects(namespace, name)
        assert (refused.value.status, refused.value.code) == (404, code)


def refused_with_401(client: Client) -> bool:
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        client.get_namespace()
    return bool((refused.value.status, refused.value.code) == (401, "NotAuthenticated"))


def test_a_wrong_key_is_refused(box: OciSandbox) -> None:
    config = oci.config.from_file(box.config_file)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(*form)
    signer = oci.Signer(
        config["tenancy"], config["user"], config["fingerprint"], None, private_key_content=stranger.decode()
    )
    assert refused_with_401(client_of(box, signer))


def test_a_wrong_user_is_refused(box: OciSandbox) -> None:
    config = oci.config.from_file(box.config_file)
    signer = oci.Signer(config["tenancy"], "ocid1.user.oc1..other", config["fingerprint"], config["key_file"])
    assert refused_with_401(client_of(box, signer))


def test_a_security_token_is_as_good_as_a_key(box: OciSandbox) -> None:
    config = oci.config.from_file(box.config_file, "TOKEN")
    token = Path(config["security_token_file"]).read_text()
    key = oci.signer.load_private_key_from_file(config["key_file"])
    assert client_of(box, oci.auth.signers.SecurityTokenSigner(token, key)).get_namespace().data == NAMESPACE
    assert refused_with_401(client_of(box, oci.auth.signers.SecurityTokenSigner(token + "x", key)))


def signed(box: OciSandbox, method: str, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
    """A request signed for `path`, sent as it is given in `headers` where that differs (`sent_path`, `date`)."""
    sent_path = headers.pop("sent_path", path)
    signer = oci.Signer.from_config(oci.config.from_file(box.config_file))
    request = oci._vendor.requests.Request(method, box.endpoint + path, headers=headers).prepare()
    made = {str(name): str(value) for name, value in signer(request).headers.items()}
    return urllib3.request(method, box.endpoint + sent_path, headers=made, retries=False, timeout=5)


def test_what_was_signed_can_not_be_changed(box: OciSandbox) -> None:
    assert signed(box, "GET", "/n").status == 200
    assert signed(box, "GET", "/n", sent_path="/n/").status == 401
    assert urllib3.request("GET", f"{box.endpoint}/n", retries=False, timeout=5).status == 401


def test_an_old_date_is_refused(box: OciSandbox) -> None:
    answer = signed(box, "GET", "/n", date="Mon, 01 Jan 2024 00:00:00 GMT")
    assert (answer.status, answer.json()["code"]) == (401, "NotAuthenticated")


def test_the_keys_are_for_our_eyes_only(box: OciSandbox) -> None:
    config = oci.config.from_file(box.config_file, "TOKEN")
    for path in (box.config_file, config["key_file"], config["security_token_file"]):
        assert Path(path).stat().st_mode & 0o777 == 0o600


def test_a_fault_answers_with_a_status(box: OciSandbox, client: Client, bucket: str) -> None:
    box.put(bucket, "a", b"abc")
    box.faults({"kind": "status", "status": 429, "code": "TooManyRequests", "name_prefix": "a", "after": 1, "times": 2})
    answers = []
    for _ in range(5):
        try:
            answers.append(client.get_object(NAMESPACE, bucket, "a").status)
        except oci.exceptions.ServiceError as error:
            answers.append((error.status, error.code))
    assert answers == [200, (429, "TooManyRequests"), (429, "TooManyRequests"), 200, 200]


def test_a_fault_of_a_listing_can_hit_its_second_page(box: OciSandbox, client: Client, bucket: str) -> None:
    box.put_many(bucket, {f"s{number:04d}": b"x" for number in range(1500)})
    box.faults({"kind": "status", "status": 500, "method": "GET", "path": f"/b/{bucket}/o?", "after": 1})
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        all_pages(client, bucket, limit=1000)
    assert (refused.value.status, refused.value.code) == (500, "InternalServerError")


def test_a_fault_resets_the_connection(box: OciSandbox, client: Client, bucket: str) -> None:
    box.put(bucket, "a", b"abc")
    box.faults({"kind": "reset", "times": 1})
    with pytest.raises(oci.exceptions.RequestException, match=r"(?i)reset"):
        client.get_object(NAMESPACE, bucket, "a")
    assert client.get_object(NAMESPACE, bucket, "a").status == 200


def test_a_reset_after_a_put_has_stored_the_object(box: OciSandbox, client: Client, bucket: str) -> None:
    box.faults({"kind": "reset", "method": "PUT", "when": "after"})
    with pytest.raises(oci.exceptions.RequestException):
        client.put_object(NAMESPACE, bucket, "a", b"abc")
    assert box.get(bucket, "a") == b"abc"


def test_a_fault_truncates_the_body(box: OciSandbox, client: Client, bucket: str) -> None:
    box.put(bucket, "a", b"0123456789" * 10_000)
    box.faults({"kind": "truncate", "name_prefix": "a", "times": 1})
    answer = client.get_object(NAMESPACE, bucket, "a")
    assert answer.headers["content-length"] == "100000"
    with pytest.raises(urllib3.exceptions.ProtocolError, match=r"50000 bytes read, 50000 more expected"):
        answer.data.raw.read()


def test_a_fault_corrupts_the_body_but_not_its_length(box: OciSandbox, client: Client, bucket: str) -> None:
    content = b"ACGT" * 1000
    box.put(bucket, "a", content)
    box.faults({"kind": "corrupt", "name_prefix": "a", "times": 1})
    answer = client.get_object(NAMESPACE, bucket, "a")
    assert len(answer.data.content) == len(content)
    assert answer.data.content != content
    assert client.get_object(NAMESPACE, bucket, "a").data.content == content


def test_a_fault_hangs_until_the_client_gives_up(box: OciSandbox, bucket: str) -> None:
    box.faults({"kind": "hang", "path": f"/b/{bucket}", "times": 1})
    with pytest.raises(oci.exceptions.RequestException, match=r"(?i)timed? ?out"):
        client_of(box, read_timeout=0.2).get_bucket(NAMESPACE, bucket)


def test_a_fault_delays_the_true_answer(box: OciSandbox, client: Client, bucket: str) -> None:
    box.put(bucket, "a", b"abc")
    box.clear_log()
    box.faults({"kind": "delay", "seconds": 0.1, "name_prefix": "a"})
    assert client.get_object(NAMESPACE, bucket, "a").data.content == b"abc"
    (entry,) = box.log("GET", f"/n/{NAMESPACE}/b/{bucket}/o/a")
    assert entry["ended"] - entry["started"] >= 0.1


def test_reads_can_be_slow(box: OciSandbox, client: Client, bucket: str) -> None:
    box.put(bucket, "slow", b"abc")
    box.clear_log()
    box.set(read_delay=0.1)
    client.get_object(NAMESPACE, bucket, "slow")
    box.set(read_delay=0)
    (entry,) = box.log("GET")
    assert (entry["name"], entry["ended"] - entry["started"] >= 0.1) == ("slow", True)


def test_a_wrong_rule_is_refused(box: OciSandbox) -> None:
    for rule in ({"kind": "explode"}, {"kind": "reset", "colour": 1}, {"kind": "reset", "every": 0}, {}):
        with pytest.raises(ControlCallError, match=r"400|kind|every"):
            box.faults(rule)


def test_the_log_counts_requests(box: OciSandbox, client: Client, bucket: str) -> None:
    box.clear_log()
    client.put_object(NAMESPACE, bucket, "folder/é", b"abc")
    client.get_object(NAMESPACE, bucket, "folder/é")
    assert [entry["name"] for entry in box.log()] == ["folder/é"] * 2
    assert box.requests("PUT") == 1
    assert box.requests("GET", f"/n/{NAMESPACE}/b/{bucket}/o/folder/") == 1


def test_one_connection_carries_many_requests(box: OciSandbox) -> None:
    where = urlsplit(box.endpoint)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=5)
    for body in (b"small", b"x" * 100_000, b""):
        connection.request("PUT", f"/n/{NAMESPACE}/b/first/o/a", body)
        first_socket = connection.sock
        answer = connection.getresponse()
        assert answer.status == 401
        answer.read()
        assert connection.sock is first_socket
    connection.close()


def test_what_is_no_request_is_refused(box: OciSandbox) -> None:
    where = urlsplit(box.endpoint)
    for nonsense in ("hello", "GET / HTTP/1.1\r\nhost", "PUT / HTTP/1.1\r\ntransfer-encoding: chunked"):
        with socket.create_connection((str(where.hostname), where.port or 0), timeout=5) as connection:
            connection.sendall(f"{nonsense}\r\n\r\n".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_a_killed_server_comes_back_at_its_place_with_its_keys() -> None:
    with OciSandbox("queue", namespace=NAMESPACE) as box:
        client = client_of(box)
        assert client.get_namespace().data == NAMESPACE
        box.kill()
        with pytest.raises(oci.exceptions.RequestException):
            client.get_namespace()
        box.start()
        assert client.get_namespace().data == NAMESPACE


PARENT = """
import sys, time
from sandbox.process import start
children = [start([name]) for name in ("oci", "fn4")]
print(*[child.pid for child in children], flush=True)
time.sleep(600)
"""


def test_the_stand_ins_end_when_their_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert all(alive(pid) for pid in pids)
        parent.kill()
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_a_stand_in_outlives_the_thread_that_started_it() -> None:
    children: list[Child] = []
    starter = threading.Thread(target=lambda: children.append(start(["fn4"])))
    starter.start()
    starter.join()
    (child,) = children
    # The kernel signals the end of that thread at once; the stand-in must still answer.
    assert urllib3.request("GET", f"{child.endpoint}/api/v2/server_time", retries=False, timeout=5).status == 200
    assert child.running
    child.stop()
    assert child.process.returncode == 0


@pytest.mark.parametrize("name", ["oci", "fn4"])
def test_ctrl_c_ends_it_quietly(name: str) -> None:
    command = [sys.executable, "-m", "sandbox", name]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline().startswith(b'{"service": "%s"' % name.encode())
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=10)
    assert (process.returncode, rest, complaints) == (0, b"", b"")


@pytest.mark.parametrize("name", ["oci", "fn4"])
def test_help_says_that_it_is_a_stand_in(name: str) -> None:
    answer = subprocess.run([sys.executable, "-m", "sandbox", name, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "stand-in" in answer.stdout
    assert "For tests and demos only" in " ".join(answer.stdout.split())


def test_a_stand_in_that_can_not_start_says_so(box: OciSandbox) -> None:
    with pytest.raises(StartError, match=r"ended with status 2"):
        start(["there-is-none"])
    with pytest.raises(StartError, match=r"ended with status 1"):
        start(["oci", "--port", str(urlsplit(box.endpoint).port)])
