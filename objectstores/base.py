"""What every store has in common: what a listed object says of itself, what a store can do, and how it fails.

A store lists, reads, writes and deletes objects of one bucket, below one prefix. It knows no models and no Django.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol


class StoreError(Exception):
    """Something a store could not do. The text names the store and the object, and never holds a secret."""


class NotFound(StoreError):
    """There is no such object, or no such bucket."""


class Denied(StoreError):
    """The credentials are refused, or lack a permission. Trying again does not help."""


class Unavailable(StoreError):
    """No answer, a throttled, failing or garbled one. Worth a retry."""


class Misconfigured(StoreError):
    """The URL, a name, a setting, the region or a credentials file is wrong: somebody has to put it right first."""


class Changed(StoreError):
    """A condition failed: the object is there already (only-if-absent), or is not the version asked for any more."""


class TooLarge(StoreError):
    """The object is larger than the caller allows."""


class Archived(StoreError):
    """The object lies in an archive, and must be restored before it can be read."""


class StoredObject(NamedTuple):
    """One object as a listing shows it."""

    name: str
    """The whole name (key) below the store's bucket, prefix of the store's URL included."""
    size: int
    """Bytes."""
    etag: str
    """The version's tag as the store gives it, without quotes; for a folder: from size and time of change."""
    md5: str | None
    """Hexadecimal MD5 of the content, where the store lists one."""
    created: datetime | None
    """When this version came to be (aware, UTC): OCI's timeCreated, S3's LastModified, a file's mtime."""
    archived: bool = False
    """True when it can't be read before it is restored (OCI's Archive tier, S3's Glacier classes)."""


class Store(Protocol):
    """One bucket (or folder), seen through one door. Safe to share between threads.

    Names are always whole names: a store with a URL prefix lists only below that prefix and refuses other names.
    Every call has time-outs and, except `write`, a few bounded retries for `Unavailable` (at most 15 s in all).
    """

    url: str
    """The canonical URL it was opened with."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """All objects whose whole name starts with the store's own prefix followed by `prefix`, in byte order of their
        names, a page at a time. Ends only when the listing is complete; raises a StoreError otherwise."""

    def names(self, prefix: str = "", cuts: Sequence[str] = ()) -> Iterator[builtins.list[str]]:
        """The names that `list` would give, in lists of at most 1000, and as certainly all; faster where the store can.

        `cuts` are whole names that are expected, in any order, some hundred spread over all: where a long listing may be
        split into parts that are listed side by side. Objects may be added or deleted meanwhile, as during `list`.
        """

    def read(self, name: str, *, etag: str = "", limit: int = 0) -> bytes:
        """The whole content. With `etag`: of that version, or Changed. With `limit`: StoreError `TooLarge` before more
        than that many bytes are held. A body shorter than announced raises Unavailable."""

    def write(self, name: str, content: bytes, *, only_if_absent: bool = False) -> str:
        """Puts the object and returns its etag. One single attempt: an unclear end raises Unavailable, and the object
        may or may not be there. `only_if_absent` raises Changed when there is one."""

    def delete(self, names: Iterable[str]) -> int:
        """Deletes them, many a call where the store can; names that are not there are no error. Returns how many names
        it sent."""

    def describe(self) -> str:
        """What it is in one readable line, without secrets."""

    def close(self) -> None:
        """Gives back its connections."""
