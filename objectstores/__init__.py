"""One interface to S3, OCI Object Storage and a folder. Knows no Django and no models.

`open_store(url)` returns a `base.Store`, whose errors are in `base`. To add a kind: write a class that implements
`base.Store` in a new module, and add its scheme to `open_store` and FORMS.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from objectstores.answers import without_password
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
"""The URLs that `open_store` accepts, for help texts."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_S3 = re.compile(rf"s3://(?P<bucket>{_NAME})(?:/(?P<prefix>.*))?", re.DOTALL)
_OCI = re.compile(rf"oci://(?P<bucket>{_NAME})@(?P<namespace>{_NAME})(?:/(?P<prefix>.*))?", re.DOTALL)


def open_store(url: str, settings: Mapping[str, str] | None = None) -> Store:
    """The store at `url` (see FORMS); a prefix is used as it is, with or without a `/` at its end.

    `settings` has the documented variables (OCI_AUTH, OCI_CONFIG_FILE, OCI_CONFIG_PROFILE, OCI_ENDPOINT, AWS_*, FILE_STORES)
    and STORE_READ_TIMEOUT (seconds, 60); by default it is the environment. This looks up credentials and sends nothing to
    the store. Raises Misconfigured. Only the SDK that is needed is imported.
    """
    values = os.environ if settings is None else settings
    if match := _S3.fullmatch(url):
        from objectstores.s3 import S3Store

        return S3Store(match["bucket"], match["prefix"] or "", values)
    if match := _OCI.fullmatch(url):
        from objectstores.oci import OciStore

        return OciStore(match["namespace"], match["bucket"], match["prefix"] or "", values)
    parts = urlsplit(url)
    # As text, because `#` and `?` belong to the name of a folder here.
    path = unquote(url.partition("://")[2].removeprefix("localhost"))
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and path.startswith("/") and "\0" not in path:
        from objectstores.folder import FolderStore

        folder = Path(os.path.realpath(path))
        allowed = [os.path.realpath(one) for one in values.get("FILE_STORES", "").split(":") if one]
        if not any(folder.is_relative_to(one) for one in allowed):
            raise Misconfigured(
                f"{url!r} is not in a folder that FILE_STORES names. Add its folder there, in the environment or in .env, such "
                "as FILE_STORES=/data/queue:/data/batches"
            )
        return FolderStore(folder)
    raise Misconfigured(f"{without_password(url)!r} is not a valid store URL; use {FORMS}")
