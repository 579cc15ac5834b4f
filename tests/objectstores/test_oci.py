"""What can go wrong between us and OCI Object Storage, and what becomes of it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from objectstores import Archived, Denied, Misconfigured, NotFound, Store, StoreError, Unavailable, open_store
from sandbox.clients import OciSandbox

pytestmark = pytest.mark.usefixtures("quick_retries")


@contextlib.contextmanager
def opened(url: str, settings: Mapping[str, str]) -> Iterator[Store]:
    store = open_store(url, settings)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def store(oci: OciSandbox, oci_bucket: str) -> Iterator[Store]:
    with opened(oci.url(oci_bucket), {**oci.environ(), "STORE_READ_TIMEOUT": "0.5"}) as one:
        yield one


def test_a_listing_says_all_that_the_bucket_knows(oci: OciSandbox, oci_bucket: str, store: Store) -> None:
    oci.put(oci_bucket, "a.fasta", b"content", created="2024-09-11T17:26:17.612Z", etag="e-1")
    oci.put(oci_bucket, "parts.fasta", b"content", md5=None)
    oci.put(oci_bucket, "z.fasta", b"content", archived=True)
    first, parts, archived = store.list()
    assert first.created == datetime(2024, 9, 11, 17, 26, 17, 612000, UTC)
    assert (first.etag, first.size, first.archived) == ("e-1", 7, False)
    assert first.md5 == hashlib.md5(b"content", usedforsecurity=False).hexdigest()
    assert parts.md5 is None
    assert archived.archived
    with pytest.raises(Archived, match=r"archived: restore it first"):
        store.read("z.fasta")


def test_an_object_that_is_restored_can_be_read(oci: OciSandbox, oci_bucket: str, store: Store) -> None:
    oci.put(oci_bucket, "a.fasta", b"content", archived=True)
    oci.put(oci_bucket, "a.fasta", b"content", archived=False)
    assert [one.archived for one in store.list()] == [False]
    assert store.read("a.fasta") == b"content"


@pytest.mark.parametrize(
    ("auth", "profile"), [("", "DEFAULT"), ("config_file", "DEFAULT"), ("security_token", "TOKEN")]
)
def test_it_signs_with_a_key_or_a_security_token(oci: OciSandbox, oci_bucket: str, auth: str, profile: str) -> None:
    settings = {**oci.environ(), "OCI_AUTH": auth, "OCI_CONFIG_PROFILE": profile}
    with opened(oci.url(oci_bucket), settings) as store:
        store.write("one", b"content")
        assert [one.name for one in store.list()] == ["one"]
        assert store.read("one") == b"content"


def test_settings_of_the_environment_are_used(
    oci: OciSandbox, oci_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in oci.environ().items():
        monkeypatch.setenv(name, value)
    store = open_store(oci.url(oci_bucket))
    assert list(store.list()) == []
    store.close()


def test_the_endpoint_follows_from_the_region(oci: OciSandbox) -> None:
    settings = {name: value for name, value in oci.environ().items() if name != "OCI_ENDPOINT"}
    with opened("oci://queue@namespace", settings) as store:
        assert "https://objectstorage.uk-london-1.oraclecloud.com" in store.describe()


PASSING = [
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429},
    {"kind": "reset"},
    {"kind": "truncate"},
    {"kind": "hang"},
]


def called(fault: Mapping[str, object]) -> str:
    return f"{fault['kind']}-{fault.get('status', '')}"


@pytest.mark.parametrize("fault", [*PASSING, {"kind": "page"}], ids=called)
def test_a_listing_whose_second_page_fails_raises_and_does_not_end(oci: OciSandbox, fault: dict[str, object]) -> None:
    oci.add_bucket("computed", synthetic=1500)
    oci.faults({"method": "GET", "path": "&start=", **fault})
    with opened(oci.url("computed"), {**oci.environ(), "STORE_READ_TIMEOUT": "0.3"}) as store:
        listing = store.list()
        assert len(list(itertools.islice(listing, 1000))) == 1000
        with pytest.raises(Unavailable):
            next(listing)


@pytest.mark.parametrize("fault", PASSING, ids=called)
def test_a_fault_that_passes_is_waited_for(
    oci: OciSandbox, oci_bucket: str, store: Store, fault: dict[str, object]
) -> None:
    oci.put(oci_bucket, "one", b"content")
    oci.faults({"method": "GET", "name_prefix": "one", "times": 1, **fault})
    assert store.read("one") == b"content"
    assert oci.requests("GET") == 2


@pytest.mark.parametrize("fault", PASSING, ids=called)
def test_a_read_that_goes_on_failing_is_given_up(
    oci: OciSandbox, oci_bucket: str, store: Store, fault: dict[str, object]
) -> None:
    oci.put(oci_bucket, "one", b"content")
    oci.faults({"method": "GET", **fault})
    with pytest.raises(Unavailable):
        store.read("one")
    assert oci.requests("GET") == 4


@pytest.mark.parametrize("fault", [PASSING[0], {"kind": "reset", "when": "after"}, PASSING[5]], ids=called)
def test_a_write_is_tried_once(oci: OciSandbox, store: Store, fault: dict[str, object]) -> None:
    oci.faults({"method": "PUT", **fault})
    with pytest.raises(Unavailable):
        store.write("one", b"content")
    assert oci.requests("PUT") == 1


@pytest.mark.parametrize(
    ("status", "code", "error", "hint"),
    [
        (401, "NotAuthenticated", Denied, "fingerprint"),
        (403, "NotAllowed", Denied, "opc-request-id"),
        (404, "NotAuthorizedOrNotFound", Denied, "lack a permission"),
        (404, "BucketNotFound", NotFound, "lack a permission"),
        (404, "ObjectNotFound", NotFound, "ObjectNotFound"),
        (409, "NotRestored", Archived, "restore it first"),
        (400, "InvalidParameter", StoreError, "InvalidParameter"),
    ],
)
def test_each_refusal_has_its_meaning(
    oci: OciSandbox, store: Store, status: int, code: str, error: type[StoreError], hint: str
) -> None:
    oci.faults({"method": "GET", "kind": "status", "status": status, "code": code})
    with pytest.raises(StoreError, match=hint) as caught:
        store.read("one")
    assert type(caught.value) is error
    assert oci.requests("GET") == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(302, Misconfigured), (403, Denied), (404, Unavailable), (412, Unavailable), (502, Unavailable)],
)
def test_a_page_of_something_between_says_nothing_of_the_object(
    oci: OciSandbox, store: Store, status: int, error: type[StoreError]
) -> None:
    oci.faults({"method": "GET", "kind": "status", "status": status, "body": "<html>Not found</html>"})
    with pytest.raises(error, match="not from the store"):
        store.read("one")


def test_a_missing_namespace_is_not_found(oci: OciSandbox, oci_bucket: str) -> None:
    with opened(f"oci://{oci_bucket}@nobody", oci.environ()) as store, pytest.raises(NotFound, match="nobody"):
        next(store.list())


def test_deleting_what_is_not_there_is_fine_but_not_in_a_bucket_that_is_not(oci: OciSandbox, store: Store) -> None:
    assert store.delete(["nothing"]) == 1
    with opened(oci.url("no-bucket"), oci.environ()) as other, pytest.raises(NotFound, match="BucketNotFound"):
        other.delete(["nothing"])


def test_a_port_that_refuses_is_unavailable(oci: OciSandbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = {**oci.environ(), "OCI_ENDPOINT": f"http://127.0.0.1:{taken.getsockname()[1]}"}
        with opened(oci.url("queue"), settings) as store, pytest.raises(Unavailable, match="refused"):
            next(store.list())


@pytest.fixture
def config(oci: OciSandbox, tmp_path: Path) -> Path:
    """A copy of the SDK's configuration, to be broken."""
    copy = tmp_path / "config"
    copy.write_text(Path(oci.config_file).read_text())
    return copy


def refused(oci: OciSandbox, **settings: str) -> str:
    """The message for invalid settings."""
    with pytest.raises(Misconfigured) as caught:
        open_store(oci.url("queue"), {**oci.environ(), **settings})
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


def test_a_configuration_that_is_not_there_is_named(oci: OciSandbox, tmp_path: Path) -> None:
    text = refused(oci, OCI_CONFIG_FILE=str(tmp_path / "nothing"))
    assert str(tmp_path / "nothing") in text
    assert "OCI_CONFIG_FILE" in text


def test_a_profile_that_is_not_there_is_named(oci: OciSandbox) -> None:
    text = refused(oci, OCI_CONFIG_PROFILE="NOBODY")
    assert "has no profile NOBODY; set OCI_CONFIG_PROFILE" in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("key_file=", "key_file=/nothing", "/nothing"),
        ("user=", "nobody=", "user"),
        ("fingerprint=", "fingerprint=x", "fingerprint"),
        ("[DEFAULT]", "no section\n[DEFAULT]", "no section"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_named(
    oci: OciSandbox, config: Path, old: str, new: str, expected: str
) -> None:
    config.write_text(config.read_text().replace(old, new))
    text = refused(oci, OCI_CONFIG_FILE=str(config))
    assert str(config) in text
    assert expected in text


def test_a_key_that_is_none_is_named(oci: OciSandbox, config: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("no key")
    lines = [f"key_file={key}" if line.startswith("key_file=") else line for line in config.read_text().splitlines()]
    config.write_text("\n".join(lines))
    assert "private key" in refused(oci, OCI_CONFIG_FILE=str(config))


def test_another_persons_key_is_denied(oci: OciSandbox, oci_bucket: str, config: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import rsa

    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = tmp_path / "key.pem"
    key.write_bytes(made.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    lines = [f"key_file={key}" if line.startswith("key_file=") else line for line in config.read_text().splitlines()]
    config.write_text("\n".join(lines))
    settings = {**oci.environ(), "OCI_CONFIG_FILE": str(config)}
    with opened(oci.url(oci_bucket), settings) as store, pytest.raises(Denied, match="NotAuthenticated"):
        next(store.list())


def test_a_profile_without_a_token_is_named(oci: OciSandbox) -> None:
    assert "security_token_file" in refused(oci, OCI_AUTH="security_token", OCI_CONFIG_PROFILE="DEFAULT")


def test_a_token_that_was_renewed_in_its_file_is_used(
    oci: OciSandbox, oci_bucket: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    lines = config.read_text().splitlines()
    [good] = [line.partition("=")[2] for line in lines if line.startswith("security_token_file=")]
    token.write_text("a.token.thatended")
    config.write_text("\n".join(f"security_token_file={token}" if good in line else line for line in lines))
    settings = {
        **oci.environ(), "OCI_CONFIG_FILE": str(config), "OCI_AUTH": "security_token", "OCI_CONFIG_PROFILE": "TOKEN",
    }  # fmt: skip
    monkeypatch.setattr("objectstores.oci_access.MIN_RENEWAL_INTERVAL", 0.0)
    with opened(oci.url(oci_bucket), settings) as store:
        with pytest.raises(Denied):
            next(store.list())
        token.write_text(Path(good).read_text())
        assert list(store.list()) == []


def test_other_ways_to_sign_say_where_they_work(oci: OciSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OCI_METADATA_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}/opc/v2")
        monkeypatch.delenv("OCI_RESOURCE_PRINCIPAL_VERSION", raising=False)
        for auth in ("instance_principal", "resource_principal"):
            assert f"OCI_AUTH={auth} only works on a machine of OCI" in refused(oci, OCI_AUTH=auth)


def test_a_way_to_sign_that_there_is_not_is_refused(oci: OciSandbox) -> None:
    assert "config_file, instance_principal, resource_principal, security_token" in refused(oci, OCI_AUTH="magic")


@pytest.mark.parametrize("endpoint", ["localhost:5025", "ftp://host", "https://host/path", "https://"])
def test_an_endpoint_that_is_none_is_refused(oci: OciSandbox, endpoint: str) -> None:
    assert "OCI_ENDPOINT" in refused(oci, OCI_ENDPOINT=endpoint)


def test_a_resource_principal_signs(oci: OciSandbox, oci_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(oci.config_file).parent
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_RPST", str(folder / "token"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", str(folder / "key.pem"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "uk-london-1")
    settings = {"OCI_AUTH": "resource_principal", "OCI_ENDPOINT": oci.endpoint}
    with opened(oci.url(oci_bucket), settings) as store:
        assert list(store.list()) == []
    with opened(oci.url(oci_bucket), {"OCI_AUTH": "resource_principal"}) as store:
        assert "https://objectstorage.uk-london-1.oraclecloud.com" in store.describe()
