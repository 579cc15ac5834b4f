"""A bucket of Amazon S3, or of a server that speaks its protocol.

boto3 finds credentials and endpoint (`s3_signing`); requests use our own pool of connections: boto3's paginator alone takes
five times as long as the whole listing here.
"""

from __future__ import annotations

import base64
import builtins
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar
from urllib.parse import quote
from xml.sax.saxutils import escape

from objectstores.answers import Answer
from objectstores.base import NewerThan, StoredObject, TooLarge, Unavailable
from objectstores.http import Connections, read_timeout
from objectstores.listing import PageCheck, check_order, chunked, validate_name
from objectstores.retrying import with_retries
from objectstores.s3_errors import error_of
from objectstores.s3_listing import parse, parse_names
from objectstores.s3_signing import S3Access
from objectstores.sorting import ListingSorter
from objectstores.splitting import NamePage, SplitListing

T = TypeVar("T")

PAGE_SIZE = 1000
"""Names requested at a time; a server may return fewer."""
_SAFE = "-_.~"
# None looks beyond the next error, so that the time is that of reading the text once.
_ERROR = re.compile(r"<Error>(?:(?!<Error>).)*?</Error>", re.DOTALL)
_REFUSED_KEY = re.compile(r"<Error>(?:(?!</?Error>).)*?<Key>([^<]*)</Key>", re.DOTALL)


class S3Store:
    """A `base.Store` on one bucket. `write` signs its content, so that the server rejects a damaged one."""

    def __init__(self, bucket: str, prefix: str, settings: Mapping[str, str]) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.url = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self.sorted_here = False
        self._access = S3Access(bucket, settings)
        self._connections = Connections(
            self._access.root, ca_bundle=self._access.ca_bundle, read_timeout=read_timeout(settings)
        )

    def list(self, prefix: str = "", on_page: Callable[[], None] = lambda: None) -> Iterator[StoredObject]:
        """As in `base.Store`; what the store does not list in byte order is sorted here (`objectstores.sorting`)."""
        whole = self.prefix + prefix
        sorter = ListingSorter(self.url, lambda: self._pages_to_sort(whole))
        for page in sorter.objects(self._pages(whole, in_byte_order=True), on_page):
            yield from page

    def names(
        self, prefix: str = "", cuts: Sequence[str] = (), newer: NewerThan | None = None
    ) -> Iterator[builtins.list[str]]:
        """As in `base.Store`; a long listing is split (`objectstores.splitting`), unless it must be sorted here."""
        whole = self.prefix + prefix

        parser = partial(parse_names, moment=newer.moment) if newer else parse_names

        def fetch(after: str, token: str) -> NamePage:
            page = with_retries(self._page, parser, whole, token, after)
            if newer and page.newer:
                newer.report(page.newer)
            return page

        sorter = ListingSorter(self.url, lambda: self._pages_to_sort(whole))
        return sorter.names(iter(SplitListing(fetch, whole, cuts, self.url)), newer)

    def _pages(self, prefix: str, *, in_byte_order: bool) -> Iterator[builtins.list[StoredObject]]:
        """A whole listing, as the store orders it; `in_byte_order`: raises NotInByteOrder if that is another order."""
        token = last = ""
        check = PageCheck(self.url)
        while True:
            page = with_retries(self._page, parse, prefix, token)
            if in_byte_order:
                last = check_order([entry.name for entry in page.objects], last, self.url)
            check.add(page.objects[0].name if page.objects else "", page.token)
            yield page.objects
            if not page.token:
                return
            token = page.token

    def _pages_to_sort(self, prefix: str) -> Iterator[builtins.list[StoredObject]]:
        self.sorted_here = True
        return self._pages(prefix, in_byte_order=False)

    def read(self, name: str, *, etag: str = "", limit: int = 0) -> bytes:
        """As in `base.Store`."""
        headers = {"if-match": f'"{etag}"'} if etag else {}
        try:
            return with_retries(self._send, "GET", name, headers=headers, limit=limit).body
        except TooLarge as error:
            raise TooLarge(f"{self.url}, {name}: {error}") from error

    def write(self, name: str, content: bytes, *, only_if_absent: bool = False) -> str:
        """As in `base.Store`; a single attempt."""
        # A bucket with Object Lock takes nothing without it, and every server supports it; newer checksums only some.
        headers = {"content-md5": _md5(content)} | ({"if-none-match": "*"} if only_if_absent else {})
        answer = self._send("PUT", name, headers=headers, body=content)
        return answer.headers.get("etag", "").strip('"')

    def delete(self, names: Iterable[str]) -> int:
        """As in `base.Store`, 1000 per request."""
        sent = 0
        for chunk in chunked(validate_name(name, self.prefix, self.url) for name in names):
            with_retries(self._delete, chunk)
            sent += len(chunk)
        return sent

    def describe(self) -> str:
        """As in `base.Store`."""
        where = f"below {self.prefix!r} " if self.prefix else ""
        return f"S3 bucket {self.bucket} {where}at {self._access.root} (region {self._access.region})"

    def close(self) -> None:
        """As in `base.Store`."""
        self._connections.close()

    def _page(self, parser: Callable[[bytes], T], prefix: str, token: str, after: str = "") -> T:
        """A page of a listing: the next one of a token, or the first one after a name."""
        query = {"encoding-type": "url", "list-type": "2", "max-keys": str(PAGE_SIZE), "prefix": prefix}
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
        headers = {"content-md5": _md5(body), "content-type": "application/xml"}
        answer = self._send("POST", None, query="delete=", headers=headers, body=body)
        text = answer.body.decode(errors="replace")
        if error := _ERROR.search(text):
            # Errors of single deletions have codes, but no status.
            refused = frozenset(html.unescape(name) for name in _REFUSED_KEY.findall(text))
            where = f"{self.url}, deleting {len(refused) or len(names)} objects"
            raised = error_of(Answer(403, answer.headers, error[0].encode()), where)
            raised.refused = refused
            raise raised

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
        """One signed exchange for an object, or for the bucket if `name` is None; raises unless it succeeds."""
        where = f"{self.url}, {validate_name(name, self.prefix, self.url)}" if name is not None else self.url
        path = self._access.path + quote(name or "", "/" + _SAFE)
        signed = self._access.sign(method, path, query, headers or {}, body)
        target = f"{path}?{query}" if query else path
        answer = self._connections.send(
            method, target, signed, body if method in ("PUT", "POST") else None, limit=limit
        )
        if answer.status >= 300:
            error = error_of(answer, where)
            error.status = answer.status
            raise error
        return answer


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
