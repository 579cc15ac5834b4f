"""A page of an S3 listing, from XML to objects.

Whole columns are cut out of the page with one expression each: several times as fast as any XML parser, and it works
whatever the order of the fields, which differs between servers. A page whose columns don't match is refused.
"""

from __future__ import annotations

import html
import re
from datetime import datetime
from functools import partial
from itertools import repeat
from typing import NamedTuple
from urllib.parse import unquote_plus

from objectstores.base import StoredObject, Unavailable
from objectstores.splitting import NamePage

_KEY, _SIZE, _ETAG, _TIME, _CLASS, _COUNT, _NEXT = (
    re.compile(f"<{tag}>([^<]*)</{tag}>")
    for tag in ("Key", "Size", "ETag", "LastModified", "StorageClass", "KeyCount", "NextContinuationToken")
)
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_object = partial(tuple.__new__, StoredObject)


class Page(NamedTuple):
    """One page of a listing."""

    objects: list[StoredObject]
    token: str
    """What the next page is asked with; empty for the last one."""


def parse(body: bytes) -> Page:
    """The objects of a ListObjectsV2 answer, in its order. Raises Unavailable for one that is garbled or not whole."""
    text = _text(body)
    try:
        return Page(_objects(text), _token(text))
    except ValueError as error:
        raise Unavailable(f"a page of the listing is garbled: {error}") from error


def parse_names(body: bytes) -> NamePage:
    """As `parse`, only the names: six times as fast."""
    text = _text(body)
    try:
        return NamePage(_names(text), _token(text))
    except ValueError as error:
        raise Unavailable(f"a page of the listing is garbled: {error}") from error


def _text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Unavailable(f"a page of the listing is garbled: {error}") from error
    # A 200 can hold an error, and a body can be cut off.
    if "<ListBucketResult" not in text or not text.rstrip().endswith("</ListBucketResult>"):
        raise Unavailable(f"a page of the listing is none, or is cut off: it begins with {text[:200]!r}")
    return text


def _names(text: str) -> list[str]:
    names = _KEY.findall(text)
    count = text.count("<Contents>")
    told = _COUNT.search(text)
    if len(names) != count or (told and int(told[1]) != count):
        raise ValueError(f"{count} entries, {len(names)} keys" + (f", {told[1]} announced" if told else ""))
    return _decoded(names, encoded="<EncodingType>url</EncodingType>" in text)


def _objects(text: str) -> list[StoredObject]:
    names = _names(text)
    count = len(names)
    times = _column(_TIME, text, count)
    at = {time: datetime.fromisoformat(time) for time in set(times)}
    columns = zip(
        names,
        map(int, _column(_SIZE, text, count)),
        _etags(_column(_ETAG, text, count)),
        repeat(None),
        map(at.__getitem__, times),
        map(_ARCHIVES.__contains__, _CLASS.findall(text) if text.count("<StorageClass>") == count else repeat("")),
        strict=False,
    )
    return list(map(_object, columns))


def _column(pattern: re.Pattern[str], text: str, count: int) -> list[str]:
    found = pattern.findall(text)
    if len(found) != count:
        raise ValueError(f"{count} entries, and {len(found)} match {pattern.pattern}")
    return found


def _decoded(names: list[str], *, encoded: bool) -> list[str]:
    if not encoded:
        return [html.unescape(name) for name in names]
    # Most keys hold nothing to decode but the padding of Base64: that takes one call for all of them.
    joined = "\n".join(names).replace("%3D", "=")
    names = joined.split("\n") if names else names
    if "%" not in joined and "+" not in joined:
        return names
    return [unquote_plus(name, errors="strict") if "%" in name or "+" in name else name for name in names]


def _etags(etags: list[str]) -> list[str]:
    return "\n".join(etags).replace("&#34;", "").replace("&quot;", "").replace('"', "").split("\n") if etags else etags


def _token(text: str) -> str:
    if "<IsTruncated>true</IsTruncated>" not in text:
        return ""
    found = _NEXT.search(text)
    if not found or not found[1]:
        raise ValueError("there is more to list, and no token to ask for it")
    return html.unescape(found[1])
