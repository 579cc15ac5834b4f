"""How many objects of a batch are in the bucket: one complete listing, in flat memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import IO, Self

from django.utils import timezone

from batches.ingest.rule import Observation
from batches.keys import KeyMatcher, prefix
from batches.models import Batch, BatchRecord
from batches.store import key_base
from objectstores.base import Store

EXAMPLES = 3
"""Names that are no keys are reported by number, and so many by name."""
SMALL = 2000
"""Rows of a batch whose listing is not worth a split."""
CUTS = 1000
"""Keys that tell where a listing may be split."""


@dataclass(frozen=True)
class ObjectCount:
    """What one complete listing saw below the batch's prefix."""

    counted_at: datetime
    seen: Observation
    foreign: int
    """Objects of other batches that share the prefix."""
    invalid: int
    """Objects whose name is no key: they belong to no batch."""
    examples: tuple[str, ...]
    """Some of the invalid names."""

    @property
    def remaining(self) -> int:
        """Objects of this batch."""
        return self.seen.remaining


class RemainingKeys(AbstractContextManager["RemainingKeys"]):
    """The keys that a count saw, kept in a temporary file, because there may be a million."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__

    def clear(self) -> None:
        """Forgets them, before another count."""
        self._file.seek(0)
        self._file.truncate()

    def add(self, lines: bytes) -> None:
        """Keeps keys, each with a line end."""
        self._file.write(lines)

    def groups(self, size: int) -> Iterator[list[str]]:
        """The keys in their order, in lists of `size`."""
        self._file.seek(0)
        while some := [line[:-1].decode() for line in islice(self._file, size)]:
            yield some

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def count(store: Store, batch: Batch, remaining: RemainingKeys | None = None) -> ObjectCount:
    """Counts what is left of a batch. Raises what the listing raises: a failed one is never a count.

    With `remaining`, the keys are put there.
    """
    base = key_base(store.url)
    owner = KeyMatcher(batch.bid).classify
    digest = hashlib.blake2b(digest_size=16)
    left = foreign = 0
    invalid: list[str] = []
    bad = 0
    if remaining:
        remaining.clear()
    for names in store.names(prefix(batch.bid), [base + key for key in _split_points(batch)]):
        chunk = [name[len(base) :] for name in names] if base else names
        owners = list(map(owner, chunk))
        own = [key for key, whose in zip(chunk, owners, strict=True) if whose == "own"]
        if len(own) < len(chunk):
            strange = [key for key, whose in zip(chunk, owners, strict=True) if whose == "invalid"]
            bad += len(strange)
            foreign += len(chunk) - len(own) - len(strange)
            invalid.extend(strange[: EXAMPLES - len(invalid)])
        if own:
            left += len(own)
            lines = ("\n".join(own) + "\n").encode()
            digest.update(lines)
            if remaining:
                remaining.add(lines)
    seen = Observation(left, digest.hexdigest())
    return ObjectCount(timezone.now(), seen, foreign, bad, tuple(invalid))


def _split_points(batch: Batch) -> list[str]:
    """Keys of a large batch, spread over all of its records: where a count of it may be split."""
    records = BatchRecord.objects.filter(batch=batch, key__isnull=False)
    last = records.order_by("row").values_list("row", flat=True).last() or 0
    if last < SMALL:
        return []
    rows = range(1, last + 1, max(last // CUTS, 1))
    return [key for key in records.filter(row__in=rows).values_list("key", flat=True) if key]
