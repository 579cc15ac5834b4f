"""Buckets of the OCI stand-in, in memory: objects by name, and their names in order.

Python compares strings by code point, which is the order of their UTF-8 bytes.
"""

import base64
import bisect
import datetime as dt
import email.utils
import functools
import hashlib
import itertools
import json
import operator
import secrets
import sys
from dataclasses import dataclass

# What a listing can show beside the name, and which attribute of an object that is.
FIELDS = {
    "size": "size",
    "etag": "etag",
    "md5": "md5",
    "timeCreated": "created",
    "timeModified": "modified",
    "storageTier": "tier",
    "archivalState": "archival",
}
PAGE_SIZE = 1000
MAX_CACHED_PAGES = 2000
_FIRST_DAY = dt.date(2024, 1, 1)
_SYNTHETIC_PREFIX = "S"
_SYNTHETIC_SUFFIX = ".fasta"
_SYNTHETIC_SEQUENCE = b"ACGT" * 15
_etags = itertools.count(1)
_etag_tail = secrets.token_hex(8)


def now_text() -> str:
    """The time as the API writes it: RFC 3339 with milliseconds."""
    return time_text(dt.datetime.now(dt.UTC))


def time_text(when: dt.datetime) -> str:
    """A time as the API writes it."""
    return when.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


@functools.lru_cache(maxsize=10_000)
def http_date(text: str) -> str:
    """A time of the API as HTTP headers write it."""
    return email.utils.format_datetime(dt.datetime.fromisoformat(text), usegmt=True)


def md5_text(content: bytes) -> str:
    """The MD5 of a content as the API writes it, in Base64."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


@functools.cache
def _day(number: int) -> str:
    return (_FIRST_DAY + dt.timedelta(days=number)).isoformat()


@dataclass(slots=True)
class StoredVersion:
    """One version of an object. `md5` None: it was uploaded in parts, and has none."""

    content: bytes
    etag: str
    md5: str | None
    created: str
    modified: str
    content_type: str = "application/octet-stream"
    tier: str = "Standard"
    archival: str | None = None

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return len(self.content)


def new_object(
    content: bytes, *, created: str | None = None, content_type: str = "application/octet-stream"
) -> StoredVersion:
    """An object with a new etag; `created` (RFC 3339) is now when not given."""
    time = time_text(dt.datetime.fromisoformat(created)) if created else now_text()
    etag = f"{next(_etags):08x}-{_etag_tail}"
    return StoredVersion(content, etag, md5_text(content), time, time, content_type)


class MemoryBucket:
    """Objects by name. `synthetic` of them are computed when they are asked for, each a small FASTA file."""

    def __init__(self, name: str, synthetic: int = 0) -> None:
        self.name = name
        self.etag = f"{next(_etags):08x}-{_etag_tail}"
        self.created = now_text()
        self._objects: dict[str, StoredVersion] = {}
        self._names = [f"{_SYNTHETIC_PREFIX}{number:08d}{_SYNTHETIC_SUFFIX}" for number in range(synthetic)]
        self._synthetic = synthetic
        self._gone: set[str] = set()
        self._pages: dict[ListQuery, bytes] = {}

    def __len__(self) -> int:
        return len(self._names)

    def get(self, name: str) -> StoredVersion | None:
        """The object of a name, None when there is none."""
        stored = self._objects.get(name)
        if stored is None and self._synthetic and name not in self._gone:
            return self._computed(name)
        return stored

    def put(self, name: str, stored: StoredVersion) -> None:
        """Add or replace one object."""
        self._pages.clear()
        if self.get(name) is None:
            bisect.insort(self._names, name)
        self._objects[name] = stored

    def put_many(self, objects: dict[str, StoredVersion]) -> None:
        """Add or replace many: sorts once."""
        self._pages.clear()
        new = [name for name in objects if self.get(name) is None]
        self._objects.update(objects)
        self._names.extend(new)
        self._names.sort()

    def delete(self, name: str) -> bool:
        """Delete one object; whether there was one."""
        if self.get(name) is None:
            return False
        self._pages.clear()
        self._objects.pop(name, None)
        self._gone.add(name)
        del self._names[bisect.bisect_left(self._names, name)]
        return True

    def _computed(self, name: str) -> StoredVersion | None:
        digits = name[len(_SYNTHETIC_PREFIX) : -len(_SYNTHETIC_SUFFIX)]
        if len(digits) != 8 or not digits.isdecimal() or int(digits) >= self._synthetic:
            return None
        if name != f"{_SYNTHETIC_PREFIX}{digits}{_SYNTHETIC_SUFFIX}":
            return None
        number = int(digits)
        content = b">GPAS_SP3|%s\n%s\n" % (name[: -len(_SYNTHETIC_SUFFIX)].encode(), _SYNTHETIC_SEQUENCE)
        # Not in the order of the names, so that "earliest first" means something; 7919 is a prime.
        day, second = divmod(number * 7919 % self._synthetic, 86400)
        time = f"{_day(day)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000Z"
        return StoredVersion(content, f"{number:032x}", md5_text(content), time, time)

    def page(self, query: "ListQuery") -> bytes:
        """One page of a listing, as JSON; kept until the bucket changes, so that a benchmark measures its client."""
        page = self._pages.get(query)
        if page is None:
            page = self._page(query)
            if len(self._pages) < MAX_CACHED_PAGES:
                self._pages[query] = page
        return page

    def _page(self, query: "ListQuery") -> bytes:
        names, prefixes, following = query.choose(self._names)
        data: dict[str, object] = {"objects": self.rows(names, query.fields)}
        if query.delimiter:
            data["prefixes"] = prefixes
        if following is not None:
            data["nextStartWith"] = following
        return json.dumps(data, ensure_ascii=False).encode()

    def rows(self, names: list[str], fields: tuple[str, ...]) -> list[dict[str, object]]:
        """What a listing shows of some objects; a field that an object does not have is left out."""
        if not fields:
            return [{"name": name} for name in names]
        values = operator.attrgetter("etag", *[FIELDS[field] for field in fields])
        keys = ("name", *fields)
        # The etag comes first so that a single field makes a tuple too; the name replaces it.
        found = [(name, *values(self.get(name))[1:]) for name in names]
        return [
            dict(zip(keys, row, strict=True))
            if None not in row
            else {key: value for key, value in zip(keys, row, strict=True) if value is not None}
            for row in found
        ]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which part of a bucket to list; `start` is included, `start_after` and `end` are not."""

    prefix: str = ""
    start: str = ""
    start_after: str | None = None
    end: str | None = None
    delimiter: str = ""
    limit: int = PAGE_SIZE
    fields: tuple[str, ...] = ()

    def choose(self, names: list[str]) -> tuple[list[str], list[str], str | None]:
        """Of all sorted names: those of the page, its common prefixes, and where the next page begins."""
        at, end = self._bounds(names)
        if not self.delimiter:
            last = min(at + self.limit, end)
            return names[at:last], [], names[last] if last < end else None
        chosen: list[str] = []
        prefixes: list[str] = []
        while at < end and len(chosen) + len(prefixes) < self.limit:
            head, found, _ = names[at][len(self.prefix) :].partition(self.delimiter)
            if found:
                common = self.prefix + head + found
                prefixes.append(common)
                at = bisect.bisect_left(names, after_all(common), at)
            else:
                chosen.append(names[at])
                at += 1
        return chosen, prefixes, names[at] if at < end else None

    def _bounds(self, names: list[str]) -> tuple[int, int]:
        first = bisect.bisect_left(names, max(self.start, self.prefix))
        if self.start_after is not None:
            first = max(first, bisect.bisect_right(names, self.start_after))
        last = bisect.bisect_left(names, after_all(self.prefix)) if self.prefix else len(names)
        if self.end is not None:
            last = min(last, bisect.bisect_left(names, self.end))
        return first, last


def after_all(prefix: str) -> str:
    """The first string after all those that begin with a prefix."""
    last = chr(sys.maxunicode)
    head = prefix.rstrip(last)
    return head[:-1] + chr(ord(head[-1]) + 1) if head else last * 1025
