"""Helpers for listings and long lists of names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import lt

from objectstores.base import Misconfigured, NewerThan, StoredObject, StoreError

MAX_NAME_BYTES = 1024
MAX_EMPTY_PAGES = 10_000
"""In a row. S3 may answer with a page without names while it passes over deleted ones."""


class NotInByteOrder(StoreError):
    """A listing whose names do not ascend in byte order: a store with another order, or a listing that is incomplete."""


def check_order(names: Sequence[str], last: str, where: str) -> str:
    """Returns the last of the names, or `last` if there are none. Raises NotInByteOrder unless they ascend strictly from `last`.

    Python sorts text by code point, which is the order of its bytes in UTF-8.
    """
    if not names:
        return last
    if names[0] <= last or not all(map(lt, names, islice(names, 1, None))):
        before, after = next(pair for pair in zip([last, *names], names, strict=False) if pair[0] >= pair[1])
        raise NotInByteOrder(f"{where} lists {after!r} after {before!r}: not in byte order, so it may be incomplete")
    return names[-1]


class PageCheck:
    """Whether the pages of one listing come to an end: not if one comes again, or ever more without a name."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._seen: set[int] = set()
        self._empty = 0

    def add(self, first_name: str, token: str) -> None:
        """A page: its first name, and the token of the next page, both empty if there is none. Raises StoreError."""
        self._empty = 0 if first_name else self._empty + 1
        if self._empty > MAX_EMPTY_PAGES:
            raise StoreError(f"{self._where}: the listing does not end: {MAX_EMPTY_PAGES:,} pages without a name")
        for mark in (("name", first_name), ("token", token)):
            if mark[1] and hash(mark) in self._seen:
                raise StoreError(f"{self._where}: the listing loops: {mark[0]} {mark[1][:200]!r} came twice")
            self._seen.add(hash(mark))


def chunked(names: Iterable[str], size: int = 1000) -> Iterator[list[str]]:
    """The names in lists of `size`; the last one may be shorter."""
    iterator = iter(names)
    while chunk := list(islice(iterator, size)):
        yield chunk


def names_of(objects: Iterable[StoredObject], newer: NewerThan | None) -> Iterator[str]:
    """Their names; reports those that are newer."""
    for item in objects:
        if newer and item.created and item.created > newer.moment:
            newer.report([(item.name, item.created)])
        yield item.name


def validate_name(name: str, prefix: str, where: str) -> str:
    """Returns the name. Raises Misconfigured unless it is valid: 1 to 1024 bytes, below the prefix."""
    too_long = len(name) > MAX_NAME_BYTES // 4 and len(name.encode()) > MAX_NAME_BYTES
    if not name or not name.startswith(prefix) or too_long:
        raise Misconfigured(f"{name!r} is not a valid name in {where}")
    return name
