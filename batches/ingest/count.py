"""How many objects of a batch remain in its bucket: one complete listing, in flat memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from threading import Lock
from types import TracebackType
from typing import IO, Self

from django.utils import timezone

from batches.ingest.rule import Observation
from batches.keys import KeyMatcher, prefix
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
        self.put_again = 0
        """How many objects were put again, at least one if any was."""

    def clear(self) -> None:
        """Removes all keys, before another count."""
        for file in (self._file, self._put_again):
            file.seek(0)
            file.truncate()
        self.put_again = 0

    def add(self, lines: bytes) -> None:
        """Adds keys, each with a line end."""
        self._file.write(lines)

    def add_put_again(self, keys: Sequence[str]) -> None:
        """Adds keys of objects that were put again; some may come twice."""
        self.put_again += len(keys)
        self._put_again.write("".join(f"{key}\n" for key in keys).encode())

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
    store: Store, batch: Batch, remaining: RemainingKeys | None = None, *, put_again_after: datetime | None = None
) -> ObjectCount:
    """Counts the remaining objects of a batch. Raises what the listing raises: a failed listing is never a count.

    With `remaining`, the keys are stored there, and with `put_again_after`, those of newer objects besides.
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
    newer = _newer_than(put_again_after, batch, base, remaining) if remaining and put_again_after else None
    for names in store.names(prefix(batch.bid), [base + key for key in keys if key], newer):
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
            if remaining:
                remaining.add(lines)
    observation = Observation(number, digest.hexdigest())
    return ObjectCount(timezone.now(), observation, foreign, invalid, tuple(examples))


def _newer_than(moment: datetime, batch: Batch, base: str, remaining: RemainingKeys) -> NewerThan:
    """Stores the batch's own objects that are newer in `remaining`."""
    classify, lock = KeyMatcher(batch.bid).classify, Lock()

    def report(found: Sequence[tuple[str, datetime]]) -> None:
        keys = [name[len(base) :] for name, _time in found]
        with lock:
            remaining.add_put_again([key for key in keys if classify(key) == "own"])

    return NewerThan(moment, report)
