"""OCI credentials, the endpoint of Object Storage, and signatures, all by the SDK.

The SDK's client is not used: it retries for a minute and a half by default, opens circuit breakers, and takes three times
as long for a small object as the signature itself.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import oci
from oci.auth.signers import (
    InstancePrincipalsSecurityTokenSigner,
    SecurityTokenSigner,
    get_resource_principals_signer,
)

from objectstores.answers import without_password
from objectstores.base import Misconfigured, Unavailable

AUTHS = ("config_file", "instance_principal", "resource_principal", "security_token")
MIN_RENEWAL_INTERVAL = 30.0
T = TypeVar("T")


@dataclass
class SignableRequest:
    """The parts of a prepared request of `requests` that a signer of the SDK reads."""

    method: str
    url: str
    path_url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: None = None


class Signer(Protocol):
    """A signer of the SDK: puts `date`, `host`, `content-type` and `authorization` into the request's headers."""

    def __call__(self, request: SignableRequest, enforce_content_headers: bool = ...) -> SignableRequest:  # noqa: FBT001 - the SDK's
        """Signs it."""


class OciAccess:
    """Access to Object Storage by OCI_AUTH, OCI_CONFIG_FILE, OCI_CONFIG_PROFILE and OCI_ENDPOINT of `settings`.

    Raises Misconfigured if they are wrong. Thread-safe.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.auth = settings.get("OCI_AUTH") or "config_file"
        if self.auth not in AUTHS:
            raise Misconfigured(f"Invalid OCI_AUTH {self.auth!r}: expected one of {', '.join(AUTHS)}")
        self._settings = settings
        self._lock = threading.Lock()
        self._renewed_at = time.monotonic()
        self._signer, region = _find_signer(self.auth, settings)
        endpoint = settings.get("OCI_ENDPOINT")
        if not endpoint:
            if not region:
                raise Misconfigured(
                    f"OCI_AUTH={self.auth} has no region; set OCI_ENDPOINT, or `region` in the configuration"
                )
            with _translated_errors(f"region {region}", Misconfigured):
                endpoint = str(oci.regions.endpoint_for("object_storage", region=region))
        parts = urlsplit(endpoint)
        if (
            parts.scheme not in ("http", "https")
            or not parts.netloc
            or "@" in endpoint
            or parts.path.strip("/")
            or parts.query
        ):
            raise Misconfigured(
                f"Invalid OCI_ENDPOINT {without_password(endpoint)!r}: expected https://objectstorage.REGION.oraclecloud.com"
            )
        self.endpoint = f"{parts.scheme}://{parts.netloc}"

    def sign(self, method: str, target: str, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers to send: the given ones (lower case) and the signature. Bodies of objects are not signed."""
        request = SignableRequest(method, self.endpoint + target, target, dict(headers))
        with _translated_errors(f"OCI_AUTH={self.auth}: no token", Unavailable):
            self._signer(request, enforce_content_headers=False)
        return request.headers

    def renew(self) -> bool:
        """Reads credentials and tokens again after a 401, as a daemon outlives them. False if it has just done so."""
        with self._lock:
            if time.monotonic() - self._renewed_at < MIN_RENEWAL_INTERVAL:
                return False
            self._signer, _region = _find_signer(self.auth, self._settings)
            self._renewed_at = time.monotonic()
            return True


def _find_signer(auth: str, settings: Mapping[str, str]) -> tuple[Signer, str | None]:
    if auth in ("config_file", "security_token"):
        return _signer_from_file(settings, with_token=auth == "security_token")
    with _translated_errors(f"OCI_AUTH={auth} only works on a machine of OCI that is set up for it", Misconfigured):
        if auth == "resource_principal":
            signer: Any = get_resource_principals_signer()
        else:
            once = oci.retry.NoneRetryStrategy()
            signer = InstancePrincipalsSecurityTokenSigner(retry_strategy=once, federation_client_retry_strategy=once)
        return signer, getattr(signer, "region", None)


def _signer_from_file(settings: Mapping[str, str], *, with_token: bool) -> tuple[Signer, str | None]:
    path = settings.get("OCI_CONFIG_FILE") or oci.config.DEFAULT_LOCATION
    profile = settings.get("OCI_CONFIG_PROFILE") or oci.config.DEFAULT_PROFILE
    file = Path(path).expanduser()
    _ensure_readable(file, "OCI configuration", "set OCI_CONFIG_FILE, or another OCI_AUTH")
    where = f"{file}, profile {profile} (OCI_CONFIG_FILE, OCI_CONFIG_PROFILE)"
    with _translated_errors(where, Misconfigured):
        try:
            config: dict[str, Any] = oci.config.from_file(str(file), profile)
        except oci.exceptions.ProfileNotFound:
            raise Misconfigured(f"{file} has no profile {profile}; set OCI_CONFIG_PROFILE") from None
        _ensure_readable(Path(config.get("key_file") or "").expanduser(), "private key", f"see key_file in {where}")
        if not with_token:
            return oci.Signer.from_config(config), config.get("region")
        if not config.get("security_token_file"):
            raise Misconfigured(f"{where}: OCI_AUTH=security_token needs a security_token_file")
        file = Path(config["security_token_file"]).expanduser()
        hint = f"see security_token_file in {where}; create one with `oci session authenticate`"
        _ensure_readable(file, "security token", hint)
        key = oci.signer.load_private_key_from_file(config["key_file"], config.get("pass_phrase"))
        return SecurityTokenSigner(file.read_text().strip(), key), config.get("region")


def _ensure_readable(file: Path, kind: str, hint: str) -> None:
    if not file.is_file():
        raise Misconfigured(f"{kind} {file} not found; {hint}")
    if not os.access(file, os.R_OK):
        raise Misconfigured(f"{kind} {file}: permission denied; check its mode and owner")


@contextmanager
def _translated_errors(prefix: str, kind: type[Misconfigured | Unavailable]) -> Iterator[None]:
    """Turns any error of the SDK into `kind`, its text after the prefix, without the SDK's advice about itself."""
    try:
        yield
    except (Misconfigured, Unavailable):
        raise
    except Exception as error:
        text = str(error.message if isinstance(error, oci.exceptions.ServiceError) else error)
        text = text.partition(", please follow")[0].partition(" For more info about config file")[0]
        raise kind(f"{prefix}: {text or repr(error)}") from error
