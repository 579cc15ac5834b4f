"""How many objects of a batch remain in its bucket: one complete listing, in flat memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import IO, Self

from django.utils import timezone

from batches.ingest.rule import Observation
from batches.keys import KeyMatcher, KeyOwner, prefix
from batches.models import Batch, BatchRecord
from batches.store import key_base
from objectstores.base import NewerThan, Store

MAX_EXAMPLES = 3
"""Names that are not keys that are reported by name."""
MIN_ROWS_TO_SPLIT = 2000
"""The listing of a smaller batch is not split."""
SPLIT_POINTS = 1000


@dataclass(frozen=True)
class ObjectCount:
    """The result of one complete listing below the batch's prefix."""

    counted_at: datetime
    observation: Observation
    foreign: int
    """Objects of other batches that share the prefix."""
    invalid: int
    """Objects whose name is not a key."""
    examples: tuple[str, ...]
    """Some of the invalid names."""

    @property
    def remaining(self) -> int:
        """Objects of this batch."""
        return self.observation.remaining


class RemainingKeys(AbstractContextManager["RemainingKeys"]):
    """The keys of the remaining objects, and of those that were put again, in temporary files: there may be a million."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._put_again: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self.any_put_again = False

    def clear(self) -> None:
        """Removes all keys, before another count."""
        for file in (self._file, self._put_again):
            file.seek(0)
            file.truncate()
        self.any_put_again = False

    def add(self, lines: bytes) -> None:
        """Adds keys, each with a line end."""
        self._file.write(lines)

    def add_put_again(self, key: str) -> None:
        """Adds the key of an object that was put again; it may come twice."""
        self.any_put_again = True
        self._put_again.write(f"{key}\n".encode())

    def groups(self, size: int, *, put_again: bool = False) -> Iterator[list[str]]:
        """The keys in their order, in lists of `size`; with `put_again`, of those objects only."""
        file = self._put_again if put_again else self._file
        file.seek(0)
        while group := [line[:-1].decode() for line in islice(file, size)]:
            yield group

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._put_again.close()


def count(
    store: Store,
    batch: Batch,
    remaining: RemainingKeys | None = None,
    *,
    keep_all: bool = True,
    put_again_after: datetime | None = None,
) -> ObjectCount:
    """Counts the remaining objects of a batch. Raises what the listing raises: a failed listing is never a count.

    With `remaining`, the keys are stored there: of all objects with `keep_all`, and with `put_again_after` of newer ones besides.
    """
    base = key_base(store.url)
    classify = KeyMatcher(batch.bid).classify
    digest = hashlib.blake2b(digest_size=16)
    number = foreign = invalid = 0
    examples: list[str] = []
    if remaining:
        remaining.clear()
    records = BatchRecord.objects.filter(batch=batch, key__isnull=False)
    last_row = records.order_by("row").values_list("row", flat=True).last() or 0
    # At keys that are spread over all records of a large batch, its listing can be split.
    cuts = range(1, last_row + 1, max(last_row // SPLIT_POINTS, 1)) if last_row >= MIN_ROWS_TO_SPLIT else ()
    keys = records.filter(row__in=cuts).values_list("key", flat=True)
    # Stored here: parts of a split listing that nobody waits for any more may report after its end.
    newer: deque[tuple[str, datetime]] = deque()
    wanted = NewerThan(put_again_after, newer.extend) if remaining and put_again_after else None
    for names in store.names(prefix(batch.bid), [base + key for key in keys if key], wanted):
        chunk = [name[len(base) :] for name in names] if base else names
        owners = list(map(classify, chunk))
        own = [key for key, owner in zip(chunk, owners, strict=True) if owner == "own"]
        if len(own) < len(chunk):
            not_keys = [key for key, owner in zip(chunk, owners, strict=True) if owner == "invalid"]
            invalid += len(not_keys)
            foreign += len(chunk) - len(own) - len(not_keys)
            examples.extend(not_keys[: MAX_EXAMPLES - len(examples)])
        if own:
            number += len(own)
            lines = ("\n".join(own) + "\n").encode()
            digest.update(lines)
            if remaining and keep_all:
                remaining.add(lines)
        if remaining and newer:
            _move(newer, base, classify, remaining)
    observation = Observation(number, digest.hexdigest())
    return ObjectCount(timezone.now(), observation, foreign, invalid, tuple(examples))


def _move(
    newer: deque[tuple[str, datetime]], base: str, classify: Callable[[str], KeyOwner], remaining: RemainingKeys
) -> None:
    """Moves the batch's own objects that are newer to `remaining`."""
    while newer:
        name, _time = newer.popleft()
        key = name[len(base) :]
        if classify(key) == "own":
            remaining.add_put_again(key)
