"""A long listing of names, requested in parallel parts and joined so that nothing can be missing.

Pages of a listing depend on each other, so a store that takes 50 ms a page needs long for a thousand. A listing is therefore
split at expected names (`cuts`). They affect only its speed: the parts cover everything, whatever the cuts are.

Each part lists from its first cut, without an upper end, until it reads a name beyond the next part's cut. Parts are joined
only where they meet: that name must be the first one that the next part read. If it is not (it was deleted or added
meanwhile, or the store has another order), the part before continues to the end of the listing, alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from datetime import datetime
from itertools import chain
from threading import Event, Thread
from typing import NamedTuple

from objectstores.base import Unavailable
from objectstores.listing import PageCheck, check_order
from objectstores.wire import SLICE_SECONDS, still_waiting

MAX_PARALLEL_PARTS = 8
PAGES_PER_PART = 3
"""Pages that a part should have: each part wastes half of its last one."""
MAX_PAGES_AHEAD = 10
"""Pages that a part reads ahead: with MAX_PARALLEL_PARTS, this limits the memory."""


class NamePage(NamedTuple):
    """The names of one page of a listing."""

    names: list[str]
    token: str
    """For the request of the next page; empty on the last one."""
    newer: Sequence[tuple[str, datetime]] = ()
    """Those that were created after a moment, each with its time."""


Fetch = Callable[[str, str], NamePage]
"""Returns the page after a name (empty: the first one), or that of a token."""


class ListingReader:
    """One listing, from a name to the end, a page at a time."""

    def __init__(self, fetch: Fetch, where: str, after: str = "") -> None:
        self._fetch = fetch
        self._where = where
        self._after = after
        self._token = ""
        self._check = PageCheck(where)
        self.last = ""
        """The last name read."""
        self.ended = False

    def read_page(self) -> list[str]:
        """Reads the next page. Raises StoreError if its names are out of order, or the listing loops."""
        names, token, _ = self._fetch(self._after, self._token)
        self.last = check_order(names, self.last, self._where)
        self._check.add(names[0] if names else "", token)
        self._token, self.ended = token, not token
        return names

    def remaining_pages(self) -> Iterator[list[str]]:
        """Reads all remaining pages."""
        while not self.ended:
            yield self.read_page()


class ListingPart:
    """The names between two cuts."""

    def __init__(self, reader: ListingReader, end: str) -> None:
        self.reader = reader
        self._end = end
        """The last name of the part; empty: that of the listing."""
        self.first: str | None = None
        """The first name that it read."""
        self.beyond: list[str] = []
        """Names beyond its end, from the page that reached it."""
        self.ahead: list[list[str]] = []
        """Pages read ahead."""

    @property
    def complete(self) -> bool:
        """Whether all its names are read."""
        return bool(self.beyond) or self.reader.ended

    def read_page(self) -> list[str]:
        """Reads the next page of its names."""
        names = self.reader.read_page()
        if self.first is None and names:
            self.first = names[0]
        if not self._end or self.reader.last <= self._end:
            return names
        own = bisect_right(names, self._end)
        self.beyond = names[own:]
        return names[:own]

    def read_ahead(self, stop: Event) -> ListingPart:
        """Reads it completely, or as many pages as may wait in memory."""
        while not self.complete and len(self.ahead) < MAX_PAGES_AHEAD and not stop.is_set():
            self.ahead.append(self.read_page())
        return self

    def pages(self) -> Iterator[list[str]]:
        """All its pages."""
        yield from self.ahead
        self.ahead = []
        while not self.complete:
            yield self.read_page()


class SplitListing:
    """All names below `prefix` in order, in lists; `cuts` are names, in any order, where the listing may be split."""

    def __init__(self, fetch: Fetch, prefix: str, cuts: Iterable[str], where: str) -> None:
        self._fetch = fetch
        self._where = where
        self._prefix = prefix
        # Servers with folders list `a/b` before `a-b`, and interpret a start with a slash differently.
        self._cuts = sorted({cut for cut in cuts if cut.startswith(prefix) and not self._has_folder(cut)})
        self._next = 0
        """Index of the cut at which the next part ends."""
        self._yielded = self._passed = 0
        """Number of names yielded, and of cuts before the last of them."""
        self._page_size = 0
        self._parts: deque[Future[ListingPart]] = deque()
        self._stop = Event()

    def __iter__(self) -> Iterator[list[str]]:
        try:
            reader = ListingReader(self._fetch, self._where)
            page = reader.read_page()
            self._yielded = self._page_size = len(page)
            yield page
            self._next = self._passed = bisect_right(self._cuts, reader.last)
            if not reader.ended:
                self._start_part(reader)
                yield from self._joined_parts()
        finally:
            self._stop.set()

    def _joined_parts(self) -> Iterator[list[str]]:
        self._start_more_parts()
        while self._parts:
            part = _result(self._parts.popleft())
            if not part.reader.ended:
                self._start_more_parts()
            for page in part.pages():
                if page:
                    self._yielded += len(page)
                    self._passed = bisect_right(self._cuts, page[-1])
                yield page
            if not self._parts:
                return
            following = _result(self._parts[0]).first
            if part.reader.ended and following and following > part.reader.last:
                raise Unavailable(
                    f"{self._where}: incomplete listing: it ended at {part.reader.last!r}, before {following!r}"
                )
            # Unless the next part continues exactly where this one ends, they can't be joined.
            if following != (part.beyond[0] if part.beyond else None) or (following and self._has_folder(following)):
                self._stop.set()
                self._parts.clear()
                yield from chain([part.beyond], part.reader.remaining_pages())
                return

    def _start_more_parts(self) -> None:
        """Keeps the maximum number of parts running."""
        while len(self._parts) < MAX_PARALLEL_PARTS and self._next <= len(self._cuts):
            self._start_part(ListingReader(self._fetch, self._where, self._cuts[self._next - 1]))

    def _start_part(self, reader: ListingReader) -> None:
        """Starts a part that ends at a cut about PAGES_PER_PART pages ahead."""
        cuts_per_page = self._page_size * self._passed / max(self._yielded, 1)
        index = self._next + max(1, round(PAGES_PER_PART * cuts_per_page)) - 1
        end = self._cuts[index] if index < len(self._cuts) else ""
        self._next = index + 1 if end else len(self._cuts) + 1
        part, future = ListingPart(reader, end), Future[ListingPart]()

        def read_ahead() -> None:
            try:
                future.set_result(part.read_ahead(self._stop))
            except BaseException as error:  # noqa: BLE001 - raised by `result`
                future.set_exception(error)

        # A daemon thread does not keep the program from ending.
        Thread(target=read_ahead, daemon=True).start()
        self._parts.append(future)

    def _has_folder(self, name: str) -> bool:
        return "/" in name[len(self._prefix) :]


def _result(part: Future[ListingPart]) -> ListingPart:
    while not wait([part], timeout=SLICE_SECONDS).done:
        still_waiting()
    return part.result()
