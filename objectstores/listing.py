"""What every listing and every long list of names goes through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import lt

from objectstores.base import Misconfigured, StoredObject, StoreError


def checked(page: Sequence[StoredObject], last: str, where: str) -> str:
    """`ascending` for a page of objects."""
    return ascending([one.name for one in page], last, where)


def ascending(names: Sequence[str], last: str, where: str) -> str:
    """The last of the names, `last` when there are none. Raises StoreError unless they ascend strictly from `last`.

    Text sorts by code point in Python, which is the order of its bytes in UTF-8.
    """
    if not names:
        return last
    if names[0] <= last or not all(map(lt, names, islice(names, 1, None))):
        before, after = next(pair for pair in zip([last, *names], names, strict=False) if pair[0] >= pair[1])
        raise StoreError(
            f"{where} lists {after!r} after {before!r}: not in byte order, so it can't be known to be whole"
        )
    return names[-1]


def names_of(objects: Iterable[StoredObject], size: int = 1000) -> Iterator[list[str]]:
    """The names of a listing, in lists, for a store that has no quicker way to them."""
    return groups((one.name for one in objects), size)


def groups(names: Iterable[str], size: int) -> Iterator[list[str]]:
    """The names in lists of `size`, the last one shorter."""
    rest = iter(names)
    while some := list(islice(rest, size)):
        yield some


def below(name: str, prefix: str, where: str) -> str:
    """The name, when the store can have it (1 to 1024 bytes, below its prefix); raises Misconfigured otherwise."""
    if not name or not name.startswith(prefix) or (len(name) > 256 and len(name.encode()) > 1024):
        raise Misconfigured(f"{name!r} can't be a name in {where}")
    return name
