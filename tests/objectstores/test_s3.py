"""What can go wrong between us and S3, and what becomes of it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from objectstores import Denied, Misconfigured, NotFound, Store, StoreError, Unavailable, open_store
from objectstores.s3_listing import parse, parse_names
from sandbox.faultproxy import FaultProxy
from sandbox.s3 import S3Sandbox
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("quick_retries")
SECOND_PAGE = {"method": "GET", "path": "continuation-token="}


@contextlib.contextmanager
def opened(bucket: str, settings: Mapping[str, str]) -> Iterator[Store]:
    store = open_store(f"s3://{bucket}", settings)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def proxied(s3: S3Sandbox, s3_proxy: FaultProxy, bucket: str) -> Iterator[Store]:
    with opened(bucket, {**s3.environ(s3_proxy.endpoint), "STORE_READ_TIMEOUT": "0.5"}) as store:
        yield store


NAMES = [f"key-{number:04}" for number in range(1200)]
"""More than a page of objects."""


@pytest.fixture(scope="module")
def full_bucket(s3: S3Sandbox) -> str:
    s3.create_bucket("full-bucket")
    s3.put_many("full-bucket", dict.fromkeys(NAMES, b""))
    return "full-bucket"


@pytest.fixture(scope="module")
def other_s3() -> Iterator[S3Sandbox]:
    """A server that may be killed."""
    with S3Sandbox("bucket") as server:
        yield server


FAULTS = [
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 200, "code": "InternalError"},
    {"kind": "page"},
    {"kind": "reset"},
    {"kind": "truncate"},
    {"kind": "corrupt"},
    {"kind": "hang"},
]


@pytest.mark.parametrize(
    "fault", FAULTS[:2] + FAULTS[3:], ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}"
)
def test_a_listing_whose_second_page_fails_raises_and_does_not_end(
    s3: S3Sandbox, s3_proxy: FaultProxy, full_bucket: str, fault: dict[str, object]
) -> None:
    s3_proxy.faults({**SECOND_PAGE, **fault})
    with opened(full_bucket, {**s3.environ(s3_proxy.endpoint), "STORE_READ_TIMEOUT": "0.3"}) as store:
        listing = store.list()
        assert [one.name for one in itertools.islice(listing, 1000)] == NAMES[:1000]
        with pytest.raises(StoreError):
            next(listing)


@pytest.mark.parametrize(
    "fault", FAULTS[:7] + FAULTS[8:], ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}"
)
def test_a_fault_that_passes_is_waited_for(
    s3: S3Sandbox, s3_proxy: FaultProxy, bucket: str, proxied: Store, fault: dict[str, object]
) -> None:
    s3.put(bucket, "one", b"content")
    s3_proxy.faults({"method": "GET", "path": "list-type=2", "times": 1, **fault})
    assert [one.name for one in proxied.list()] == ["one"]
    assert s3_proxy.requests("GET") == 2


@pytest.mark.parametrize(
    "fault", FAULTS[:3] + FAULTS[5:7], ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}"
)
def test_a_read_that_goes_on_failing_is_given_up(
    s3: S3Sandbox, s3_proxy: FaultProxy, bucket: str, proxied: Store, fault: dict[str, object]
) -> None:
    s3.put(bucket, "one", b"content")
    s3_proxy.faults({"method": "GET", **fault})
    with pytest.raises(Unavailable, match=bucket if fault["kind"] == "status" else "127.0.0.1"):
        proxied.read("one")
    assert s3_proxy.requests("GET") == 4


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 503},
        {"kind": "reset"},
        {"kind": "reset", "when": "after"},
        {"kind": "hang"},
    ],
)
def test_a_write_is_tried_once(s3_proxy: FaultProxy, proxied: Store, fault: dict[str, object]) -> None:
    s3_proxy.faults({"method": "PUT", **fault})
    with pytest.raises(Unavailable):
        proxied.write("one", b"content")
    assert s3_proxy.requests("PUT") == 1


def test_a_write_that_is_slow_succeeds(s3: S3Sandbox, s3_proxy: FaultProxy, bucket: str, proxied: Store) -> None:
    s3_proxy.faults({"method": "PUT", "kind": "delay", "seconds": 0.2})
    assert proxied.write("one", b"content")
    assert s3.get(bucket, "one") == b"content"


def test_an_error_inside_a_deletion_that_succeeded_is_an_error(
    s3: S3Sandbox, s3_proxy: FaultProxy, bucket: str, proxied: Store
) -> None:
    s3.put(bucket, "one", b"content")
    body = "<DeleteResult><Error><Key>one</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
    s3_proxy.faults({"method": "POST", "kind": "status", "status": 200, "body": body})
    with pytest.raises(Denied, match="AccessDenied: no"):
        proxied.delete(["one"])


def test_a_redirect_names_the_variable_to_set(s3_proxy: FaultProxy, proxied: Store) -> None:
    body = "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message><Region>eu-west-2</Region></Error>"
    s3_proxy.faults({"kind": "status", "status": 301, "body": body})
    with pytest.raises(Misconfigured, match=r"AWS_REGION to the bucket's region, eu-west-2"):
        next(proxied.list())
    assert s3_proxy.requests() == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(302, Misconfigured), (403, Denied), (404, Unavailable), (412, Unavailable), (502, Unavailable)],
)
def test_a_page_of_something_between_says_nothing_of_the_object(
    s3_proxy: FaultProxy, proxied: Store, status: int, error: type[StoreError]
) -> None:
    s3_proxy.faults({"method": "GET", "kind": "status", "status": status, "body": "<html>Not found</html>"})
    with pytest.raises(error, match="not from the store"):
        proxied.read("one")


def test_a_listing_that_is_not_in_byte_order_is_sorted_here(
    s3: S3Sandbox, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SeaweedFS sorts folder by folder.
    some = ["a-b/1", "a-b/2", "a/1", "a/2", "b"]
    s3.put_many(bucket, dict.fromkeys(some, b"content"))
    with opened(bucket, s3.environ()) as store:
        listed = list(store.list())
        assert [one.name for one in listed] == some
        assert {(one.size, one.archived, one.created is not None) for one in listed} == {(7, False, True)}
        assert [one.etag for one in listed] == [next(store.list(name)).etag for name in some]
        assert store.sorted_here
        assert [name for page in store.names() for name in page] == some
        assert [name for page in store.names(cuts=["a-b/2", "a/2"]) for name in page] == some
        monkeypatch.setattr("objectstores.s3.PAGE_SIZE", 1)
        # Only a later page shows it: complete, and the rest follows in order.
        assert [one.name for one in store.list()] == ["a/1", "a/2", "a-b/1", "a-b/2", "b"]
        assert sorted(name for page in store.names() for name in page) == some


@pytest.mark.parametrize("wrong", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "WRONG"}])
def test_wrong_credentials_are_denied(s3: S3Sandbox, bucket: str, wrong: dict[str, str]) -> None:
    with opened(bucket, {**s3.environ(), **wrong}) as store:
        for use in (lambda: next(store.list()), lambda: store.read("a"), lambda: store.write("a", b"")):
            with pytest.raises(Denied) as caught:
                use()
            assert s3.secret_key not in str(caught.value)


def test_a_port_that_refuses_is_unavailable(s3: S3Sandbox, bucket: str) -> None:
    with socket.socket() as taken:
        # Bound, and nobody listens.
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with opened(bucket, s3.environ(endpoint)) as store, pytest.raises(Unavailable, match=r"refused"):
            next(store.list())


def test_no_credentials_say_what_to_set() -> None:
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("HOME", home)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(Misconfigured, match="AWS_ACCESS_KEY_ID"):
            open_store("s3://bucket")
        patch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(Misconfigured, match="nobody"):
            open_store("s3://bucket")


KEYS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
ROLE = "[profile p]\nrole_arn=arn:aws:iam::123456789012:role/x\nregion=eu-west-1\n"
BASE = "source_profile=b\n[profile b]\naws_access_key_id=k\naws_secret_access_key=s\n"
SSO = "sso_account_id=123456789012\nsso_role_name=x\nregion=eu-west-1\n"
SETTING = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
PROFILE = "check the profile in AWS_PROFILE and its configuration file"
LOGIN = "log in again: aws sso login"
CREDENTIALS = {
    "nothing": ({}, "", Misconfigured, "no AWS credentials found", SETTING),
    "no secret": ({"AWS_ACCESS_KEY_ID": "k"}, "", Misconfigured, "missing: AWS_SECRET_ACCESS_KEY", SETTING),
    "unknown profile": ({"AWS_PROFILE": "x"}, "", Misconfigured, "profile (x) could not be found", "check AWS_PROFILE"),
    "endpoint": (
        {**KEYS, "AWS_ENDPOINT_URL_S3": "not a url"},
        "",
        Misconfigured,
        "not a url",
        "check the endpoint URL",
    ),
    "endpoint without scheme": (
        {**KEYS, "AWS_ENDPOINT_URL": "host:1"},
        "",
        Misconfigured,
        "host:1",
        "check the endpoint",
    ),
    "region": ({**KEYS, "AWS_REGION": "eu west"}, "", Misconfigured, "'eu west'", "check AWS_REGION"),
    "role without source": ({}, ROLE, Misconfigured, "missing: source_profile or credential_source", PROFILE),
    "role with MFA": (
        {},
        ROLE + "mfa_serial=arn:aws:iam::1:mfa/me\n" + BASE,
        Denied,
        "MFA code of arn:aws:iam::1:mfa/me",
        "use a profile without mfa_serial, or temporary credentials (AWS_SESSION_TOKEN)",
    ),
    "role unavailable": (
        {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9"},
        ROLE + BASE,
        Unavailable,
        "source of the AWS credentials unavailable",
        "",
    ),
    "old SSO": (
        {},
        f"[profile p]\nsso_start_url=https://x\nsso_region=eu-west-1\n{SSO}",
        Misconfigured,
        "SSO Token",
        LOGIN,
    ),
    "SSO": (
        {},
        f"[profile p]\nsso_session=s\n{SSO}[sso-session s]\nsso_region=eu-west-1\nsso_start_url=https://x\n",
        Misconfigured,
        "Token for s does not exist",
        LOGIN,
    ),
    "no program": ({}, "[profile p]\ncredential_process=/no/such\n", Misconfigured, "'/no/such'", PROFILE),
    "program fails": ({}, "[profile p]\ncredential_process=/bin/false\n", Misconfigured, "custom-process", PROFILE),
    "program talks": (
        {},
        "[profile p]\ncredential_process=/bin/echo hello\n",
        Misconfigured,
        "Expecting value",
        PROFILE,
    ),
    "no token file": (
        {"AWS_ROLE_ARN": "arn:aws:iam::1:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE": "/no/such", "AWS_REGION": "eu-west-1"},
        "",
        Misconfigured,
        "'/no/such'",
        PROFILE,
    ),
    "broken file": ({}, "hello\n[profile p\n", Misconfigured, "Unable to parse config file", ""),
}
"""By name: the environment, the configuration file (of the profile `p`), and the kind, the text and the hint of the error."""


@pytest.mark.parametrize("case", CREDENTIALS)
def test_credentials_that_can_not_be_had_are_one_line_with_the_hint_that_fits(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment, config, kind, text, hint = CREDENTIALS[case]
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(config)
    given = {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in (given | ({"AWS_PROFILE": "p"} if config else {}) | environment).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: pytest.fail("a job would wait for ever"))
    with pytest.raises(kind) as caught, opened("bucket", os.environ) as store:
        next(store.list())
    told = str(caught.value)
    assert told.startswith(("s3://bucket: ", "https://bucket"))
    assert text in told
    assert hint in told
    assert told.count("; ") == bool(hint)
    assert told.count("AWS_ACCESS_KEY_ID") == (hint == SETTING), "no hint at keys where something else is wrong"
    assert "\n" not in told
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch.*; check AWS_SECRET_ACCESS_KEY, or the profile"),
        ({"AWS_ACCESS_KEY_ID": "WRONG"}, "InvalidAccessKeyId.*; check AWS_ACCESS_KEY_ID, or the profile"),
    ],
)
def test_wrong_keys_are_told_apart(s3: S3Sandbox, bucket: str, wrong: dict[str, str], hint: str) -> None:
    with opened(bucket, {**s3.environ(), **wrong}) as store, pytest.raises(Denied, match=hint):
        next(store.list())


def test_a_role_that_is_refused_is_one_line(s3: S3Sandbox, s3_proxy: FaultProxy, tmp_path: Path) -> None:
    error = "<Error><Code>AccessDenied</Code><Message>not authorized to assume</Message></Error>"
    body = f"<ErrorResponse>{error}</ErrorResponse>"
    s3_proxy.faults({"kind": "status", "status": 403, "body": body, "content_type": "text/xml"})
    config = tmp_path / "config"
    config.write_text(ROLE + BASE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CONFIG_FILE", str(config))
        patch.setenv("AWS_ENDPOINT_URL_STS", s3_proxy.endpoint)
        settings = {"AWS_PROFILE": "p", "AWS_ENDPOINT_URL_S3": s3.endpoint}
        with pytest.raises(Denied) as caught, opened("bucket", settings) as store:
            next(store.list())
    told = str(caught.value)
    assert "An error occurred (AccessDenied) when calling the AssumeRole operation: not authorized to assume" in told
    assert told.endswith("; check the role and the keys of the profile in AWS_PROFILE")


def test_each_put_has_a_checksum_that_the_server_compares(
    s3: S3Sandbox, s3_proxy: FaultProxy, bucket: str, proxied: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_proxy.faults(
        {"method": "PUT", "without_header": "content-md5", "kind": "status", "status": 400, "code": "InvalidRequest"}
    )
    proxied.write("one", b"content")
    assert s3.get(bucket, "one") == b"content"
    monkeypatch.setattr("objectstores.s3._md5", lambda _content: "AAAAAAAAAAAAAAAAAAAAAA==")
    with pytest.raises(StoreError, match="BadDigest") as caught:
        proxied.write("two", b"content")
    assert caught.value.status == 400
    assert s3.objects(bucket) == ["one"]


def test_a_deletion_that_is_refused_in_part_names_what_is_kept(s3_proxy: FaultProxy, proxied: Store) -> None:
    refused = "".join(
        f"<Error><Key>{key}</Key><VersionId>v</VersionId><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        for key in ("a&amp;b", "c")
    )
    body = f"<DeleteResult><Deleted><Key>d</Key></Deleted>{refused}</DeleteResult>"
    s3_proxy.faults(
        {"method": "POST", "kind": "status", "status": 200, "body": body, "content_type": "application/xml"}
    )
    with pytest.raises(Denied, match=r"deleting 2 objects: 403 AccessDenied: Access Denied$") as caught:
        proxied.delete(["a&b", "c", "d"])
    assert caught.value.refused == {"a&b", "c"}


def test_credentials_that_end_are_asked_for_again(s3: S3Sandbox, bucket: str, tmp_path: Path) -> None:
    """A profile whose keys come from a program, as with SSO, that names a set that has ended and then a good one."""
    calls = tmp_path / "calls"
    program = tmp_path / "credentials"
    program.write_text(
        "#!/bin/sh\n"
        f"echo x >> {calls}\n"
        f'[ $(wc -l < {calls}) = 1 ] && when=$(date -u -d "+2 seconds" +%FT%TZ) && secret=old\n'
        f"[ $(wc -l < {calls}) = 1 ] || {{ when=2099-01-01T00:00:00Z; secret={s3.secret_key}; }}\n"
        f'echo "{{\\"Version\\": 1, \\"AccessKeyId\\": \\"{s3.access_key}\\", \\"SecretAccessKey\\": \\"$secret\\", '
        '\\"SessionToken\\": \\"\\", \\"Expiration\\": \\"$when\\"}"\n'
    )
    program.chmod(0o700)
    config = tmp_path / "config"
    config.write_text(f"[profile sso]\ncredential_process={program}\nregion=us-east-1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CONFIG_FILE", str(config))
        settings = {"AWS_PROFILE": "sso", "AWS_ENDPOINT_URL_S3": s3.endpoint}
        with opened(bucket, settings) as store:
            store.write("one", b"signed with keys that were renewed")
    assert calls.read_text().count("x") == 2


def test_a_server_that_is_killed_and_comes_back_is_met_again_by_the_same_store(other_s3: S3Sandbox) -> None:
    with opened("bucket", other_s3.environ()) as store:
        store.write("one", b"content")
        other_s3.kill()
        with pytest.raises(Unavailable):
            store.read("one")
        other_s3.start()
        assert store.read("one") == b"content"
        store.delete(["one"])


def test_a_server_that_hangs_is_given_up(other_s3: S3Sandbox) -> None:
    with opened("bucket", {**other_s3.environ(), "STORE_READ_TIMEOUT": "0.3"}) as store:
        os.kill(other_s3.server_pid, signal.SIGSTOP)
        try:
            threads = Path(f"/proc/{other_s3.server_pid}/task")
            wait_until(lambda: all("T (stopped)" in (thread / "status").read_text() for thread in threads.iterdir()))
            with pytest.raises(Unavailable, match="no response within"):
                next(store.list())
        finally:
            os.kill(other_s3.server_pid, signal.SIGCONT)
        assert list(store.list()) == []


def test_a_bucket_that_is_not_there_takes_no_object(s3: S3Sandbox) -> None:
    with opened("no-such-bucket", s3.environ()) as store, pytest.raises(NotFound, match="NoSuchBucket"):
        store.write("one", b"content")


@pytest.mark.parametrize(
    ("bucket", "region", "where"),
    [
        ("fast-import-bucket", "eu-west-2", "https://fast-import-bucket.s3.eu-west-2.amazonaws.com (region eu-west-2)"),
        ("dotted.bucket", "eu-west-2", "https://s3.eu-west-2.amazonaws.com (region eu-west-2)"),
        ("bucket", "cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn (region cn-north-1)"),
    ],
)
def test_the_way_to_a_bucket_of_amazons_is_botos(bucket: str, region: str, where: str) -> None:
    settings = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": region}
    with opened(bucket, settings) as store:
        assert where in store.describe()


PAGE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>b</Name>{}</ListBucketResult>"
)
ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2024-09-11T18:25:00.000Z</LastModified><ETag>&quot;e1&quot;</ETag>"
    "<Size>7</Size>{}</Contents>"
)


def test_a_page_of_another_server_is_read_as_well() -> None:
    body = PAGE.format(
        "<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b</NextContinuationToken>"
        + ENTRY.format("a&amp;b", "<Owner><ID>me</ID></Owner><StorageClass>STANDARD</StorageClass>")
        + ENTRY.format("c", "<StorageClass>GLACIER</StorageClass>")
    )
    page = parse(body.encode())
    assert [(one.name, one.size, one.etag, one.archived) for one in page.objects] == [
        ("a&b", 7, "e1", False),
        ("c", 7, "e1", True),
    ]
    assert page.token == "a&b"


def test_names_come_with_the_objects_that_are_newer_in_whatever_spelling_the_time_is() -> None:
    times = {
        "a": "2024-09-11T18:25:00.000Z", "b": "2024-09-11T18:25:00.001Z", "c": "2024-09-11T18:25:00Z",
        "d": "2024-09-11T19:25:00+01:00", "e": "2024-09-11T19:25:01+01:00", "f": "2031-01-01T00:00:00.123456789Z",
    }  # fmt: skip
    entries = (ENTRY.format(name, "").replace("2024-09-11T18:25:00.000Z", time) for name, time in times.items())
    body = PAGE.format("".join(entries)).encode()
    moment = datetime(2024, 9, 11, 18, 25, tzinfo=UTC)
    page = parse_names(body, moment)
    assert page.names == list(times)
    assert page.newer == [(one.name, one.created) for one in parse(body).objects if one.name in "bef"]
    assert parse_names(body) == (list(times), "", ())
    for wrong in ("2024-09-11T18:25:00", "yesterday", ""):
        with pytest.raises(Unavailable, match="malformed"):
            parse_names(body.replace(b"2024-09-11T18:25:00Z", wrong.encode()), moment)
    with pytest.raises(Unavailable, match="6 entries, 5 matches"):
        parse_names(body.replace(b"<LastModified>2024-09-11T18:25:00Z</LastModified>", b""), moment)


@pytest.mark.parametrize(
    "inside",
    [
        "<IsTruncated>true</IsTruncated>" + ENTRY.format("a", ""),
        "<KeyCount>2</KeyCount>" + ENTRY.format("a", ""),
        ENTRY.format("a", "").replace("<Size>7</Size>", ""),
        ENTRY.format("a", "").replace(">7<", ">seven<"),
        ENTRY.format("a", "").replace("2024-09-11", "yesterday "),
        "<EncodingType>url</EncodingType>" + ENTRY.format("%FF", ""),
    ],
)
def test_an_inconsistent_page_is_an_error(inside: str) -> None:
    with pytest.raises(Unavailable, match="malformed"):
        parse(PAGE.format(inside).encode())
