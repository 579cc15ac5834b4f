"""Answers about a list of ids, those that need somebody first.

Answers wait in temporary files, one for each rank, so memory stays flat however long they are.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Any, Generic, NamedTuple, TypeVar

SOME_ARE_NOT = 10
"""Exit status: not all ids are as they should be."""
_IN_MEMORY = 1_000_000
_PAGE_ROWS = 500

Row = TypeVar("Row", bound=tuple[Any, ...])


class RowKind(NamedTuple):
    """What the rows of a report are."""

    make: Callable[[Iterable[Any]], Any]
    """Makes a row of its cells: `_make` of a NamedTuple of texts, numbers and None."""
    columns: Sequence[str]


class IdReport(AbstractContextManager["IdReport[Row]"], Generic[Row]):
    """Rows about ids, by the status of each id, the first status first; of a status those with a warning first."""

    def __init__(self, kind: RowKind, statuses: Sequence[str], good: Collection[str]) -> None:
        self.kind, self._good = kind, frozenset(good)
        self.counts: Counter[str] = Counter()
        """Ids by status."""
        self.warned = 0
        """Ids with a good status and a warning."""
        self._ranks = {status: rank for rank, status in enumerate(statuses)}
        self._pages: dict[tuple[int, bool], list[Row]] = defaultdict(list)
        self._files: dict[tuple[int, bool], IO[str]] = {}
        self._stack = ExitStack()

    def add(self, status: str, rows: Iterable[Row], *, warned: bool = False) -> None:
        """The rows about one id."""
        self.counts[status] += 1
        self.warned += warned
        place = (self._ranks[status], not warned)
        page = self._pages[place]
        page.extend(rows)
        if len(page) >= _PAGE_ROWS:
            self._write(place)

    def _write(self, place: tuple[int, bool]) -> None:
        if place not in self._files:
            file = SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", newline="")  # noqa: SIM115 - the stack closes it
            self._files[place] = self._stack.enter_context(file)
        # A page a line: JSON escapes line ends.
        self._files[place].write(json.dumps(self._pages.pop(place)) + "\n")

    @property
    def total(self) -> int:
        """All ids."""
        return self.counts.total()

    @property
    def good(self) -> int:
        """Ids whose status is as it should be."""
        return sum(self.counts[status] for status in self._good)

    @property
    def exit_status(self) -> int:
        """Of a command that prints it."""
        return 0 if self.good == self.total else SOME_ARE_NOT

    def is_good(self, status: str) -> bool:
        """Whether nobody has to do anything about it."""
        return status in self._good

    def __iter__(self) -> Iterator[Row]:
        for place in list(self._pages):
            self._write(place)
        for place in sorted(self._files):
            file = self._files[place]
            file.seek(0)
            for line in file:
                yield from map(self.kind.make, json.loads(line))

    def close(self) -> None:
        """Deletes the files."""
        self._stack.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
