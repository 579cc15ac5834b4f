"""A bucket of Amazon S3, or of a server that speaks its protocol.

boto3 finds out who and where we are (`s3_signing`); lists, reads and writes go over kept connections: its paginator alone
takes five times as long as the whole listing here.
"""

from __future__ import annotations

import base64
import builtins
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar
from urllib.parse import quote
from xml.sax.saxutils import escape

from objectstores.answers import Answer
from objectstores.base import StoredObject, StoreError, TooLarge, Unavailable
from objectstores.http import Connections, read_timeout
from objectstores.listing import below, checked, groups
from objectstores.retrying import patiently
from objectstores.s3_errors import refusal
from objectstores.s3_listing import Page, parse, parse_names
from objectstores.s3_signing import Access
from objectstores.splitting import NamePage, SplitListing

T = TypeVar("T")

PAGE = 1000
"""Names that are asked for at a time; a server may give fewer."""
_PER_DELETE = 1000
_SAFE = "-_.~"
_FAILED = re.compile(r"<Error>.*?</Error>", re.DOTALL)


class S3Store:
    """A `base.Store` on one bucket. `write` signs its content, so a damaged one is refused by the server."""

    def __init__(self, bucket: str, prefix: str, settings: Mapping[str, str]) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.url = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self._access = Access(bucket, settings)
        self._connections = Connections(
            self._access.root, ca_bundle=self._access.ca_bundle, read_timeout=read_timeout(settings)
        )

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """As in `base.Store`. A server that lists out of byte order (SeaweedFS does with some `/`) is refused."""
        token = last = ""
        while True:
            page = patiently(self._page, self.prefix + prefix, token)
            last = checked(page.objects, last, self.url)
            yield from page.objects
            if not page.token:
                return
            if page.token == token:
                raise StoreError(f"{self.url}: the listing turns in a circle at {last!r}")
            token = page.token

    def names(self, prefix: str = "", cuts: Sequence[str] = ()) -> Iterator[builtins.list[str]]:
        """As in `base.Store`; a long listing is split (`objectstores.splitting`)."""
        whole = self.prefix + prefix
        fetch = partial(self._names, whole)
        return iter(SplitListing(lambda after, token: patiently(fetch, after, token), whole, cuts, self.url))

    def read(self, name: str, *, etag: str = "", limit: int = 0) -> bytes:
        """As in `base.Store`."""
        headers = {"if-match": f'"{etag}"'} if etag else {}
        try:
            return patiently(self._send, "GET", name, headers=headers, limit=limit).body
        except TooLarge as error:
            raise TooLarge(f"{self.url}, {name}: {error}") from error

    def write(self, name: str, content: bytes, *, only_if_absent: bool = False) -> str:
        """As in `base.Store`; one single attempt."""
        headers = {"if-none-match": "*"} if only_if_absent else {}
        answer = self._send("PUT", name, headers=headers, body=content)
        return answer.headers.get("etag", "").strip('"')

    def delete(self, names: Iterable[str]) -> int:
        """As in `base.Store`, 1000 a call."""
        sent = 0
        for some in groups((below(name, self.prefix, self.url) for name in names), _PER_DELETE):
            patiently(self._delete, some)
            sent += len(some)
        return sent

    def describe(self) -> str:
        """As in `base.Store`."""
        where = f"below {self.prefix!r} " if self.prefix else ""
        return f"S3 bucket {self.bucket} {where}at {self._access.root} (region {self._access.region})"

    def close(self) -> None:
        """As in `base.Store`."""
        self._connections.close()

    def _page(self, prefix: str, token: str) -> Page:
        return self._listed(parse, prefix, token, "")

    def _names(self, prefix: str, after: str, token: str) -> NamePage:
        return self._listed(parse_names, prefix, token, after)

    def _listed(self, parser: Callable[[bytes], T], prefix: str, token: str, after: str) -> T:
        query = {"encoding-type": "url", "list-type": "2", "max-keys": str(PAGE), "prefix": prefix}
        if token:
            query["continuation-token"] = token
        elif after:
            query["start-after"] = after
        answer = self._send("GET", None, query="&".join(f"{k}={quote(v, _SAFE)}" for k, v in sorted(query.items())))
        try:
            return parser(answer.body)
        except Unavailable as error:
            raise Unavailable(f"{self.url}: {error}") from error

    def _delete(self, names: Sequence[str]) -> None:
        objects = "".join(f"<Object><Key>{escape(name)}</Key></Object>" for name in names)
        body = f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{objects}<Quiet>true</Quiet></Delete>'.encode()
        # Every server knows this header; newer checksums only some.
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"content-md5": digest, "content-type": "application/xml"}
        answer = self._send("POST", None, query="delete=", headers=headers, body=body)
        if failed := _FAILED.search(answer.body.decode(errors="replace")):
            # Each error of a deletion has a code, not a status of its own.
            raise refusal(Answer(403, answer.headers, failed[0].encode()), f"{self.url}, deleting {len(names)} objects")

    def _send(
        self,
        method: str,
        name: str | None,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        limit: int = 0,
    ) -> Answer:
        """One signed exchange about an object, or about the bucket when `name` is None; raises unless it succeeded."""
        what = f"{self.url}, {below(name, self.prefix, self.url)}" if name is not None else self.url
        path = self._access.path + quote(name or "", "/" + _SAFE)
        signed = self._access.sign(method, path, query, headers or {}, body)
        target = f"{path}?{query}" if query else path
        answer = self._connections.send(
            method, target, signed, body if method in ("PUT", "POST") else None, limit=limit
        )
        if answer.status >= 300:
            raise refusal(answer, what)
        return answer
