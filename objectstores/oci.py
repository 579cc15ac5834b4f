"""A bucket of OCI Object Storage, by its native REST API (domain.md 3).

The SDK finds credentials and endpoint, and signs (`oci_access`); requests use our own pool of connections.
"""

from __future__ import annotations

import base64
import binascii
import builtins
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import quote

from objectstores.answers import Answer, from_json
from objectstores.base import NewerThan, StoredObject, StoreError, TooLarge, Unavailable, one_line
from objectstores.http import Connections, read_timeout
from objectstores.listing import PageCheck, check_order, chunked, names_of, validate_name
from objectstores.oci_access import OciAccess
from objectstores.oci_errors import OBJECT_NOT_FOUND, code_and_message, error_of
from objectstores.retrying import with_retries

_FIELDS = "name,size,etag,md5,timeCreated,storageTier,archivalState"
_PARALLEL_DELETES = 8

Objects = list[StoredObject]


class OciStore:
    """A `base.Store` on one bucket. `md5` is None for an object uploaded in parts."""

    sorted_here = False

    def __init__(self, namespace: str, bucket: str, prefix: str, settings: Mapping[str, str]) -> None:
        self.namespace = namespace
        self.bucket = bucket
        self.prefix = prefix
        self.url = f"oci://{bucket}@{namespace}/{prefix}" if prefix else f"oci://{bucket}@{namespace}"
        self._access = OciAccess(settings)
        self._path = f"/n/{quote(namespace, '')}/b/{quote(bucket, '')}/o"
        self._connections = Connections(
            self._access.endpoint, ca_bundle=settings.get("REQUESTS_CA_BUNDLE"), read_timeout=read_timeout(settings)
        )

    def list(
        self,
        prefix: str = "",
        on_page: Callable[[], None] = lambda: None,  # noqa: ARG002 - it lists in byte order
    ) -> Iterator[StoredObject]:
        """As in `base.Store`."""
        start = last = ""
        check = PageCheck(self.url)
        while True:
            objects, next_start = with_retries(self._page, self.prefix + prefix, start)
            last = check_order([entry.name for entry in objects], last, self.url)
            check.add(objects[0].name if objects else "", next_start)
            yield from objects
            if not next_start:
                return
            if next_start <= max(start, last):
                raise StoreError(f"{self.url}: the listing loops at {next_start!r}")
            start = next_start

    def names(
        self,
        prefix: str = "",
        cuts: Sequence[str] = (),  # noqa: ARG002 - it does not split
        newer: NewerThan | None = None,
    ) -> Iterator[builtins.list[str]]:
        """As in `base.Store`, without splitting."""
        return chunked(names_of(self.list(prefix), newer))

    def read(self, name: str, *, etag: str = "", limit: int = 0) -> bytes:
        """As in `base.Store`."""
        headers = {"if-match": etag} if etag else {}
        try:
            return with_retries(self._send, "GET", name, headers=headers, limit=limit).body
        except TooLarge as error:
            raise TooLarge(f"{self.url}, {name}: {error}") from error

    def write(self, name: str, content: bytes, *, only_if_absent: bool = False) -> str:
        """As in `base.Store`; a single attempt, whose MD5 the server checks."""
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        headers = {"content-type": "application/octet-stream", "content-md5": digest}
        if only_if_absent:
            headers["if-none-match"] = "*"
        return self._send("PUT", name, headers=headers, body=content).headers.get("etag", "")

    def delete(self, names: Iterable[str]) -> int:
        """As in `base.Store`; the API deletes one object per request, so eight are sent in parallel."""
        sent = 0

        def delete(name: str) -> None:
            with_retries(self._send, "DELETE", name, gone_is_fine=True)

        with ThreadPoolExecutor(_PARALLEL_DELETES) as threads:
            for chunk in chunked(validate_name(name, self.prefix, self.url) for name in names):
                sent += len(list(threads.map(delete, chunk)))
        return sent

    def describe(self) -> str:
        """As in `base.Store`."""
        where = f"below {self.prefix!r} " if self.prefix else ""
        return (
            f"OCI bucket {self.bucket} of namespace {self.namespace} {where}at {self._access.endpoint} "
            f"(as {self._access.auth})"
        )

    def close(self) -> None:
        """As in `base.Store`."""
        self._connections.close()

    def _page(self, prefix: str, start: str) -> tuple[Objects, str]:
        """The objects from `start` on, at most 1000, and the start of the next page (empty: there is none)."""
        query = f"fields={_FIELDS}&limit=1000&prefix={quote(prefix, '')}"
        answer = self._send("GET", None, query=f"{query}&start={quote(start, '')}" if start else query)
        return page_of(answer.body, self.url)

    def _send(
        self,
        method: str,
        name: str | None,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = 0,
        gone_is_fine: bool = False,
    ) -> Answer:
        """One signed exchange for an object, or for the bucket if `name` is None; raises unless it succeeds."""
        target = self._path
        if name is not None:
            target += "/" + quote(validate_name(name, self.prefix, self.url), "")
        if query:
            target += "?" + query
        signed = self._access.sign(method, target, headers or {})
        answer = self._connections.send(method, target, signed, body, limit=limit)
        if answer.status == 401 and self._access.renew():
            signed = self._access.sign(method, target, headers or {})
            answer = self._connections.send(method, target, signed, body, limit=limit)
        if answer.status >= 300 and not (gone_is_fine and code_and_message(answer)[0] == OBJECT_NOT_FOUND):
            error = error_of(answer, f"{self.url}, {name}" if name is not None else self.url)
            error.status = answer.status
            raise error
        return answer


def page_of(body: bytes, url: str) -> tuple[Objects, str]:
    """The objects of a page of the listing at `url`, and the start of the next page (empty: there is none). Raises
    Unavailable for anything else."""
    try:
        page = from_json(body)
        return [_object(entry) for entry in page["objects"]], _start(page.get("nextStartWith"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"{url}: malformed page of the listing: {one_line(repr(error))}") from error


def _start(listed: Any) -> str:  # noqa: ANN401 - JSON
    if listed is not None and not isinstance(listed, str):
        raise TypeError("nextStartWith is not a text")
    return listed or ""


def _md5(listed: str) -> str | None:
    """The MD5 of the content, hexadecimal. An object uploaded in parts is listed with `…==-<parts>`, which is none."""
    try:
        content = binascii.a2b_base64(listed, strict_mode=True)
    except binascii.Error:
        return None
    return content.hex() if len(content) == 16 else None


def _object(entry: Mapping[str, Any]) -> StoredObject:
    name, size, etag, md5 = entry["name"], entry["size"], entry.get("etag") or "", entry.get("md5")
    created = datetime.fromisoformat(entry["timeCreated"]) if entry.get("timeCreated") else None
    if not (isinstance(name, str) and name and type(size) is int and size >= 0 and isinstance(etag, str)):
        raise TypeError("an object without name or size, or with an etag that is no text")
    if created and not created.tzinfo:
        raise ValueError("a time without its zone")
    state = entry.get("archivalState")
    return StoredObject(
        name,
        size,
        etag,
        _md5(md5) if md5 else None,
        created,
        state in ("Archived", "Restoring") or (not state and entry.get("storageTier") == "Archive"),
    )
