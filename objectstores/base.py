"""The interface of every store, its objects and its errors.

A store lists, reads, writes and deletes objects of one bucket, below one prefix. It knows no models and no Django.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

MAX_WORDS = 500


def one_line(text: str) -> str:
    """Words from outside for an error: one line without control characters, at most 500 characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_WORDS])


class StoreError(Exception):
    """An operation failed. The text names the store and the object, and never contains a secret."""

    status: int = 0
    """HTTP status of the response; 0: none."""
    refused: frozenset[str] = frozenset()
    """Of a `delete`: the names that the store did not delete, if it says so; all others of the request are deleted."""


class NotFound(StoreError):
    """There is no such object, or no such bucket."""


class Denied(StoreError):
    """The credentials are invalid or lack a permission. A retry does not help."""


class Unavailable(StoreError):
    """No response, or a throttled, failing or malformed one. Worth a retry."""


class Misconfigured(StoreError):
    """The URL, a name, a setting, the region or a credentials file is wrong: someone must correct it first."""


class Changed(StoreError):
    """A condition failed: the object exists already (only-if-absent), or is no longer the requested version."""


class TooLarge(StoreError):
    """The object is larger than the caller allows."""


class Archived(StoreError):
    """The object is archived, and must be restored before it can be read."""


class StoredObject(NamedTuple):
    """One object of a listing."""

    name: str
    """The full name (key) in the bucket, including the prefix of the store's URL."""
    size: int
    """Bytes."""
    etag: str
    """The ETag of the version, without quotes; for a folder: made of size, time of change and inode."""
    md5: str | None
    """Hexadecimal MD5 of the content, where the store lists one."""
    created: datetime | None
    """When this version was created (aware, UTC): OCI's timeCreated, S3's LastModified, a file's mtime."""
    archived: bool = False
    """Whether it must be restored before it can be read (OCI's Archive tier, S3's Glacier classes)."""


class NewerThan(NamedTuple):
    """What a listing of names reports beside them: which objects were created after a moment."""

    moment: datetime
    """Aware."""
    report: Callable[[Sequence[tuple[str, datetime]]], object]
    """Gets names, each with its time, before their page is yielded; from any thread, and a name may come twice."""


class Store(Protocol):
    """One bucket or folder. Safe to share between threads.

    Names are always full names: a store with a URL prefix lists only below that prefix and rejects other names.
    Every call has time-outs and, except `write`, a few retries for `Unavailable` (at most 15 s in total).
    """

    url: str
    """The canonical URL it was opened with."""
    sorted_here: bool
    """Whether a listing had to be sorted here, because the store does not list in byte order."""

    def list(self, prefix: str = "", on_page: Callable[[], None] = ...) -> Iterator[StoredObject]:
        """All objects whose full name starts with the store's own prefix followed by `prefix`, in byte order of their
        names, a page at a time. Ends only when the listing is complete; raises a StoreError otherwise.

        What a store does not list in byte order is sorted on disk; if that shows only after the first page, what was
        yielded before is followed by all the rest, each part in order. `on_page` is called meanwhile, a page at a time.
        """

    def names(
        self, prefix: str = "", cuts: Sequence[str] = (), newer: NewerThan | None = None
    ) -> Iterator[builtins.list[str]]:
        """The names that `list` would yield, all of them, in lists of at most 1000; faster where the store can. With `newer`,
        objects that were created later are reported there, without a further request.

        `cuts` are expected full names, in any order, some hundred spread over all: a long listing may be split there
        into parts that are listed in parallel. Objects may be added or deleted meanwhile, as during `list`.
        """

    def read(self, name: str, *, etag: str = "", limit: int = 0) -> bytes:
        """The content. With `etag`: of that version, or raises Changed. With `limit`: raises TooLarge before it holds more
        than that many bytes. A body shorter than announced raises Unavailable."""

    def write(self, name: str, content: bytes, *, only_if_absent: bool = False) -> str:
        """Puts the object and returns its etag. A single attempt: without a clear response it raises Unavailable, and the
        object may or may not exist. `only_if_absent` raises Changed if it exists already."""

    def delete(self, names: Iterable[str]) -> int:
        """Deletes them, many per request where the store can; missing ones are not an error. Returns the number of names
        it sent."""

    def describe(self) -> str:
        """A readable line about it, without secrets."""

    def close(self) -> None:
        """Closes its connections."""
