"""What every listing and every long list of names goes through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import lt

from objectstores.base import Misconfigured, StoredObject, StoreError


def checked(page: Sequence[StoredObject], last: str, where: str) -> str:
    """The last name of the page, `last` when it is empty. Raises StoreError unless names ascend strictly from `last`.

    Text sorts by code point in Python, which is the order of its bytes in UTF-8.
    """
    if not page:
        return last
    names = [one.name for one in page]
    if names[0] <= last or not all(map(lt, names, islice(names, 1, None))):
        before, after = next(pair for pair in zip([last, *names], names, strict=False) if pair[0] >= pair[1])
        raise StoreError(
            f"{where} lists {after!r} after {before!r}: not in byte order, so it can't be known to be whole"
        )
    return names[-1]


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
