"""A page of an S3 listing, from XML to objects.

One regular expression extracts each column of the page: several times as fast as any XML parser, and independent of the
order of the fields, which differs between servers. A page whose columns do not match is an error.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import repeat
from operator import attrgetter
from typing import NamedTuple
from urllib.parse import unquote_plus

from objectstores.base import StoredObject, Unavailable, one_line
from objectstores.splitting import NamePage

_KEY, _SIZE, _ETAG, _TIME, _CLASS, _COUNT, _NEXT = (
    re.compile(f"<{tag}>([^<]*)</{tag}>")
    for tag in ("Key", "Size", "ETag", "LastModified", "StorageClass", "KeyCount", "NextContinuationToken")
)
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_object = partial(tuple.__new__, StoredObject)


class ObjectPage(NamedTuple):
    """One page of a listing."""

    objects: list[StoredObject]
    token: str
    """For the request of the next page; empty on the last one."""


def parse(body: bytes) -> ObjectPage:
    """The objects of a ListObjectsV2 response, in its order. Raises Unavailable if it is malformed or incomplete."""
    with _malformed_is_unavailable():
        text = _text(body)
        names = _names(text)
        count = len(names)
        etags = "\n".join(_column(_ETAG, text, count))
        classes = _CLASS.findall(text) if text.count("<StorageClass>") == count else repeat("", count)
        columns = zip(
            names,
            map(int, _column(_SIZE, text, count)),
            etags.replace("&#34;", "").replace("&quot;", "").replace('"', "").split("\n") if count else [],
            repeat(None, count),
            _times(text, count),
            map(_ARCHIVES.__contains__, classes),
            strict=True,
        )
        return ObjectPage(list(map(_object, columns)), _token(text))


def parse_names(body: bytes, moment: datetime | None = None) -> NamePage:
    """Like `parse`, only the names, several times as fast; with a moment, also which objects are newer."""
    with _malformed_is_unavailable():
        text = _text(body)
        names = _names(text)
        if moment is None:
            return NamePage(names, _token(text))
        stamped = zip(names, _times(text, len(names)), strict=True)
        return NamePage(names, _token(text), [(name, time) for name, time in stamped if time > moment])


@contextmanager
def _malformed_is_unavailable() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise Unavailable(f"malformed page of the listing: {one_line(str(error))}") from error


def _text(body: bytes) -> str:
    text = body.decode()
    # A 200 can contain an error, and a body can be truncated.
    if "<ListBucketResult" not in text or not text.rstrip().endswith("</ListBucketResult>"):
        raise ValueError(f"not a listing, or truncated; it begins with {text[:200]!r}")
    return text


def _names(text: str) -> list[str]:
    names = _KEY.findall(text)
    count = text.count("<Contents>")
    announced = _COUNT.search(text)
    if len(names) != count or (announced and int(announced[1]) != count):
        raise ValueError(f"{count} entries, {len(names)} keys" + (f", {announced[1]} announced" if announced else ""))
    if "<EncodingType>url</EncodingType>" not in text:
        return [html.unescape(name) for name in names]
    # Most keys need no decoding but the padding of Base64: one call does that for all of them.
    joined = "\n".join(names).replace("%3D", "=")
    names = joined.split("\n") if names else names
    if len(names) != count:
        raise ValueError("a key with a line end")
    if "%" not in joined and "+" not in joined:
        return names
    return [unquote_plus(name, errors="strict") if "%" in name or "+" in name else name for name in names]


def _column(pattern: re.Pattern[str], text: str, count: int) -> list[str]:
    values = pattern.findall(text)
    if len(values) != count:
        raise ValueError(f"{count} entries, {len(values)} matches of {pattern.pattern}")
    return values


def _times(text: str, count: int) -> Iterator[datetime]:
    times = _column(_TIME, text, count)
    # Objects that are put at a time share it.
    parsed = {time: datetime.fromisoformat(time) for time in set(times)}
    if not all(map(attrgetter("tzinfo"), parsed.values())):
        raise ValueError("a time without its zone")
    return map(parsed.__getitem__, times)


def _token(text: str) -> str:
    if "<IsTruncated>true</IsTruncated>" not in text:
        return ""
    token = _NEXT.search(text)
    if not token or not token[1]:
        raise ValueError("truncated without a continuation token")
    return html.unescape(token[1])
