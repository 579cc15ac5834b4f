"""TLS with a private certificate authority, basic auth and a path before the server; TLS before the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.clients import Fn4Sandbox
from tests.support.feeding import LENGTH, Feeding
from tests.support.tls_front import TlsFront


@pytest.fixture
def behind(feeding: Feeding, tmp_path: Path) -> Iterator[TlsFront]:
    """The server of `feeding` behind TLS, with a password and a path."""
    with Fn4Sandbox(LENGTH, auth="me:very-hidden", prefix="/tb") as fn4, TlsFront(fn4.endpoint, tmp_path) as front:
        feeding.fn4 = fn4
        feeding.put_samples("s1", "s2")
        yield front


def load(feeding: Feeding, front: TlsFront, **environment: str) -> tuple[int, str]:
    words = ("fnload", front.url + "/tb", feeding.oci.namespace, feeding.bucket, "--once")
    told = feeding.manage(*words, **{"FN4_AUTH": "me:very-hidden"} | environment)
    assert "Traceback" not in told.stdout + told.stderr
    assert "very-hidden" not in told.stdout + told.stderr
    return told.returncode, told.stderr


def test_a_server_behind_tls_of_a_private_authority_with_password_and_path_is_loaded(
    feeding: Feeding, behind: TlsFront
) -> None:
    status, said = load(feeding, behind, FN4_CA_BUNDLE=str(behind.ca_bundle))
    assert status == 0, said
    feeding.assert_every_sample_is_in_once()
    assert behind.connections > 2, "questions and inserts went through it"


def test_a_certificate_that_is_not_trusted_is_told_with_the_setting_and_nothing_is_sent(
    feeding: Feeding, behind: TlsFront
) -> None:
    status, said = load(feeding, behind)
    assert (status, "FN4_CA_BUNDLE" in said) == (1, True), said
    assert feeding.fn4.requests() == 0


def test_a_certificate_of_another_host_is_not_trusted(feeding: Feeding, behind: TlsFront, tmp_path: Path) -> None:
    with TlsFront(feeding.fn4.endpoint, tmp_path, host="elsewhere.example.org") as other:
        status, said = load(feeding, other, FN4_CA_BUNDLE=str(other.ca_bundle))
    assert (status, "TLS failed" in said or "not trusted" in said) == (1, True), said
    assert feeding.fn4.requests() == 0
    assert behind.connections == 0


def test_a_store_behind_tls_of_a_private_authority_is_read(feeding: Feeding, tmp_path: Path) -> None:
    feeding.put_samples("s1")
    with TlsFront(feeding.oci.endpoint, tmp_path) as front:
        refused = feeding.load(OCI_ENDPOINT=front.url)
        assert (refused.returncode, "CA bundle" in refused.stderr) == (1, True), refused.stderr
        told = feeding.load(OCI_ENDPOINT=front.url, REQUESTS_CA_BUNDLE=str(front.ca_bundle))
    assert told.returncode == 0, told.stderr
    feeding.assert_every_sample_is_in_once()
