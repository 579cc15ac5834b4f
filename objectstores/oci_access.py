"""Who we are for OCI, where Object Storage is, and the signature of a request: all of it the SDK's, none of its calls.

The SDK's client is not used: it retries for a minute and a half by default, breaks circuits, and takes three times as
long for a small object as the signature itself does.
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

from objectstores.base import Misconfigured, Unavailable

AUTHS = ("config_file", "instance_principal", "resource_principal", "security_token")
RENEW_AT_MOST_EVERY = 30.0
"""Seconds."""
T = TypeVar("T")


@dataclass
class Request:
    """What a signer of the SDK signs: the parts of a prepared request of `requests` that it looks at."""

    method: str
    url: str
    path_url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: None = None


class Signer(Protocol):
    """A signer of the SDK: puts `date`, `host`, `content-type` and `authorization` into the request's headers."""

    def __call__(self, request: Request, enforce_content_headers: bool = ...) -> Request:  # noqa: FBT001 - the SDK's
        """Signs it."""


class Access:
    """The way to Object Storage as OCI_AUTH, OCI_CONFIG_FILE, OCI_CONFIG_PROFILE and OCI_ENDPOINT of `settings` say.

    Raises Misconfigured for what is wrong there. For threads.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.auth = settings.get("OCI_AUTH") or "config_file"
        if self.auth not in AUTHS:
            raise Misconfigured(f"OCI_AUTH must be one of {', '.join(AUTHS)}, not {self.auth!r}")
        self._settings = settings
        self._lock = threading.Lock()
        self._renewed = time.monotonic()
        self._signer, region = _identify(self.auth, settings)
        self.endpoint = _endpoint(settings, region, self.auth)

    def sign(self, method: str, target: str, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers to send: those given (lower case) and the signature. A body is not signed, as for objects."""
        request = Request(method, self.endpoint + target, target, dict(headers))
        with _explained(f"OCI_AUTH={self.auth}: no token", Unavailable):
            self._signer(request, enforce_content_headers=False)
        return request.headers

    def renew(self) -> bool:
        """Reads credentials and tokens anew, after a 401: a daemon outlives them. False when that was done just now."""
        with self._lock:
            if time.monotonic() - self._renewed < RENEW_AT_MOST_EVERY:
                return False
            self._signer, _region = _identify(self.auth, self._settings)
            self._renewed = time.monotonic()
            return True


def _identify(auth: str, settings: Mapping[str, str]) -> tuple[Signer, str | None]:
    if auth in ("config_file", "security_token"):
        return _from_file(settings, with_token=auth == "security_token")
    way_out = f"OCI_AUTH={auth} only works on a machine of OCI that is set up for it"
    with _explained(way_out, Misconfigured):
        if auth == "resource_principal":
            signer: Any = get_resource_principals_signer()
        else:
            none = oci.retry.NoneRetryStrategy()
            signer = InstancePrincipalsSecurityTokenSigner(retry_strategy=none, federation_client_retry_strategy=none)
        return signer, getattr(signer, "region", None)


def _from_file(settings: Mapping[str, str], *, with_token: bool) -> tuple[Signer, str | None]:
    path = settings.get("OCI_CONFIG_FILE") or oci.config.DEFAULT_LOCATION
    profile = settings.get("OCI_CONFIG_PROFILE") or oci.config.DEFAULT_PROFILE
    file = Path(path).expanduser()
    _readable(file, "the OCI configuration", "set OCI_CONFIG_FILE, or OCI_AUTH for another way")
    where = f"{file}, profile {profile} (OCI_CONFIG_FILE, OCI_CONFIG_PROFILE)"
    with _explained(where, Misconfigured):
        try:
            config: dict[str, Any] = oci.config.from_file(str(file), profile)
        except oci.exceptions.ProfileNotFound:
            raise Misconfigured(f"{file} has no profile {profile}; set OCI_CONFIG_PROFILE") from None
        _readable(Path(config.get("key_file") or "").expanduser(), "the private key", f"see key_file in {where}")
        return (_token_signer(config, where) if with_token else oci.Signer.from_config(config)), config.get("region")


def _token_signer(config: Mapping[str, Any], where: str) -> Signer:
    if not config.get("security_token_file"):
        raise Misconfigured(f"{where}: there is no security_token_file, which OCI_AUTH=security_token needs")
    file = Path(config["security_token_file"]).expanduser()
    _readable(file, "the security token", f"see security_token_file in {where}; `oci session authenticate` makes one")
    key = oci.signer.load_private_key_from_file(config["key_file"], config.get("pass_phrase"))
    signer: Signer = SecurityTokenSigner(file.read_text().strip(), key)
    return signer


def _readable(file: Path, what: str, way_out: str) -> None:
    if not file.is_file():
        raise Misconfigured(f"{what}, {file}, is not there; {way_out}")
    if not os.access(file, os.R_OK):
        raise Misconfigured(f"{what}, {file}, can't be read by this user; check its permissions")


def _endpoint(settings: Mapping[str, str], region: str | None, auth: str) -> str:
    text = settings.get("OCI_ENDPOINT")
    if not text:
        if not region:
            raise Misconfigured(f"OCI_AUTH={auth} names no region; set OCI_ENDPOINT, or `region` in the configuration")
        with _explained(f"region {region}", Misconfigured):
            text = str(oci.regions.endpoint_for("object_storage", region=region))
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
        raise Misconfigured(f"OCI_ENDPOINT must be like https://objectstorage.REGION.oraclecloud.com, not {text!r}")
    return f"{parts.scheme}://{parts.netloc}"


@contextmanager
def _explained(what: str, kind: type[Misconfigured | Unavailable]) -> Iterator[None]:
    """Turns whatever the SDK raises into an error of ours that begins with `what`."""
    try:
        yield
    except (Misconfigured, Unavailable):
        raise
    except Exception as error:
        raise kind(f"{what}: {_short(error)}") from error


def _short(error: Exception) -> str:
    """The SDK's text without its advice, which is about itself."""
    if isinstance(error, oci.exceptions.ServiceError):
        return str(error.message)
    return str(error).partition(", please follow")[0].partition(" For more info about config file")[0] or repr(error)
