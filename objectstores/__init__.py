"""One door to S3, OCI Object Storage and a folder. Knows no Django and no models.

`open_store(url)` gives a `base.Store`; what it raises is in `base`. To add a kind: write a module with a class that has
the shape of `base.Store`, and name its scheme in `open_store` and in FORMS.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from objectstores.base import (
    Archived,
    Changed,
    Denied,
    Misconfigured,
    NotFound,
    Store,
    StoredObject,
    StoreError,
    TooLarge,
    Unavailable,
)

__all__ = [
    "FORMS",
    "Archived",
    "Changed",
    "Denied",
    "Misconfigured",
    "NotFound",
    "Store",
    "StoreError",
    "StoredObject",
    "TooLarge",
    "Unavailable",
    "open_store",
]

FORMS = "s3://bucket[/prefix], oci://bucket@namespace[/prefix], file:///folder"
"""The URLs that `open_store` takes, for help texts."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_S3 = re.compile(rf"s3://(?P<bucket>{_NAME})(?:/(?P<prefix>.*))?", re.DOTALL)
_OCI = re.compile(rf"oci://(?P<bucket>{_NAME})@(?P<namespace>{_NAME})(?:/(?P<prefix>.*))?", re.DOTALL)


def open_store(url: str, settings: Mapping[str, str] | None = None) -> Store:
    """The store at `url` (see FORMS); a prefix is taken as it stands, with or without a `/` at its end.

    `settings` holds the variables of the contract (OCI_AUTH, OCI_CONFIG_FILE, OCI_CONFIG_PROFILE, OCI_ENDPOINT, AWS_*)
    and STORE_READ_TIMEOUT (seconds, 60); without it they come from the environment. Credentials are looked up here;
    nothing is sent to the store. Raises Misconfigured. Only the SDK that is needed is imported.
    """
    values = os.environ if settings is None else settings
    if match := _S3.fullmatch(url):
        from objectstores.s3 import S3Store

        return S3Store(match["bucket"], match["prefix"] or "", values)
    if match := _OCI.fullmatch(url):
        from objectstores.oci import OciStore

        return OciStore(match["namespace"], match["bucket"], match["prefix"] or "", values)
    if folder := _folder(url):
        from objectstores.folder import FolderStore

        return FolderStore(folder)
    raise Misconfigured(f"{url!r} is no URL of a store; the forms are {FORMS}")


def _folder(url: str) -> Path | None:
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or "\0" in unquote(parts.path):
        return None
    # As text, because `#` and `?` are letters of a folder's name here.
    path = unquote(url.partition("://")[2].removeprefix("localhost"))
    return Path(path) if path.startswith("/") else None
