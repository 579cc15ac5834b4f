"""A long listing of names, asked for in parts side by side and joined again so that nothing can be missing.

A store that takes 50 ms a page takes as long for the thousandth as for the first, so a listing is split at names that
somebody expects (`cuts`). They only decide how fast it is: whatever they are, the parts cover everything.

Each part lists from its first cut, without an upper end, until it sees a name beyond the next part's cut. Parts are joined
only where they meet: that name must be the first one that the next part saw. Where it is not (it was deleted or added
meanwhile, or the store sorts or ends its listings in a way of its own), the part before goes on to the end, in one piece.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import chain
from threading import Event, Thread
from typing import NamedTuple

from objectstores.base import StoreError, Unavailable
from objectstores.listing import ascending

PARTS = 8
"""Parts that are listed at a time."""
PAGES = 3
"""Pages that a part should have: each part wastes half of its last one."""
MOST_PAGES = 10
"""Pages that a part reads ahead of its turn: with PARTS, this bounds the memory."""


class NamePage(NamedTuple):
    """One page of a listing, only its names."""

    names: list[str]
    token: str
    """What the next page is asked with; empty for the last one."""


Fetch = Callable[[str, str], NamePage]
"""The page after a name (empty: from the beginning), or that of a token."""


class Reader:
    """One listing, from after a name to the end, a page at a time."""

    def __init__(self, fetch: Fetch, where: str, after: str = "") -> None:
        self._fetch = fetch
        self._where = where
        self._after = after
        self._token = ""
        self.last = ""
        """The last name that was read."""
        self.ended = False

    def page(self) -> list[str]:
        """The next page. Raises StoreError when its names don't ascend, or the listing turns in a circle."""
        names, token = self._fetch(self._after, self._token)
        self.last = ascending(names, self.last, self._where)
        if token and token == self._token:
            raise StoreError(f"{self._where}: the listing turns in a circle at {self.last!r}")
        self._token, self.ended = token, not token
        return names

    def rest(self) -> Iterator[list[str]]:
        """All pages that are left."""
        while not self.ended:
            yield self.page()


class Part:
    """What lies between two cuts."""

    def __init__(self, reader: Reader, end: str) -> None:
        self.reader = reader
        self._end = end
        """The last name that belongs to it; empty: all do."""
        self.first: str | None = None
        """The first name that its listing saw."""
        self.beyond: list[str] = []
        """Names behind its end, from the page that reached it."""
        self.ahead: list[list[str]] = []
        """Pages read ahead of their turn."""

    @property
    def done(self) -> bool:
        """Whether all its names are read."""
        return bool(self.beyond) or self.reader.ended

    def read(self) -> list[str]:
        """The next page of names that belong to it."""
        names = self.reader.page()
        if self.first is None and names:
            self.first = names[0]
        if not self._end or self.reader.last <= self._end:
            return names
        own = bisect_right(names, self._end)
        self.beyond = names[own:]
        return names[:own]

    def read_ahead(self, stop: Event) -> Part:
        """Reads what belongs to it, or as much as may wait in memory."""
        while not self.done and len(self.ahead) < MOST_PAGES and not stop.is_set():
            self.ahead.append(self.read())
        return self

    def pages(self) -> Iterator[list[str]]:
        """All its pages."""
        yield from self.ahead
        self.ahead = []
        while not self.done:
            yield self.read()


class SplitListing:
    """All names of a listing below `prefix`, in their order, in lists; `cuts` are names, in any order, where it may be split."""

    def __init__(self, fetch: Fetch, prefix: str, cuts: Iterable[str], where: str) -> None:
        self._fetch = fetch
        self._where = where
        self._prefix = prefix
        # Servers that keep folders list `a/b` before `a-b`, and understand a start with a slash in their own way.
        self._cuts = sorted({cut for cut in cuts if cut.startswith(prefix) and not self._has_folder(cut)})
        self._next = 0
        """Index of the cut that the next part ends with."""
        self._seen = self._passed = 0
        """Names that were handed out, and the cuts that they have passed."""
        self._page_size = 0
        self._parts: deque[Future[Part]] = deque()
        self._stop = Event()

    def __iter__(self) -> Iterator[list[str]]:
        try:
            yield from self._pages()
        finally:
            self._stop.set()

    def _pages(self) -> Iterator[list[str]]:
        whole = Reader(self._fetch, self._where)
        page = whole.page()
        self._seen = self._page_size = len(page)
        yield page
        self._next = self._passed = bisect_right(self._cuts, whole.last)
        if not whole.ended:
            self._begin(whole)
            self._begin_more()
            yield from self._joined()

    def _joined(self) -> Iterator[list[str]]:
        while self._parts:
            part = self._parts.popleft().result()
            if not part.reader.ended:
                self._begin_more()
            for page in part.pages():
                self._count(page)
                yield page
            if self._parts and not self._meets(part, self._parts[0].result()):
                self._stop.set()
                self._parts.clear()
                yield from chain([part.beyond], part.reader.rest())
                return

    def _meets(self, part: Part, following: Part) -> bool:
        """Whether the next part goes on exactly where this one ends; False: they can't be joined.

        Raises Unavailable when this one came to the end of the bucket, and the next one saw more.
        """
        if part.reader.ended and following.first and following.first > part.reader.last:
            raise Unavailable(
                f"{self._where}: the listing ended at {part.reader.last!r}, but {following.first!r} was seen behind it"
            )
        first = part.beyond[0] if part.beyond else None
        return first == following.first and not (first and self._has_folder(first))

    def _count(self, page: list[str]) -> None:
        if page:
            self._seen += len(page)
            self._passed = bisect_right(self._cuts, page[-1])

    def _begin_more(self) -> None:
        """Keeps as many parts under way as may be."""
        while len(self._parts) < PARTS and self._next <= len(self._cuts):
            self._begin(Reader(self._fetch, self._where, self._cuts[self._next - 1]))

    def _begin(self, reader: Reader) -> None:
        """Begins the part that `reader` reads; it ends at a cut far enough on."""
        # So many cuts lie in a page, as far as it is known.
        density = self._page_size * self._passed / max(self._seen, 1)
        here = self._next + max(1, round(PAGES * density)) - 1
        end = self._cuts[here] if here < len(self._cuts) else ""
        self._next = here + 1 if end else len(self._cuts) + 1
        self._parts.append(_in_thread(Part(reader, end), self._stop))

    def _has_folder(self, name: str) -> bool:
        return "/" in name[len(self._prefix) :]


def _in_thread(part: Part, stop: Event) -> Future[Part]:
    """Reads ahead in a thread; one that nobody waits for never keeps the program from ending."""
    future: Future[Part] = Future()

    def run() -> None:
        try:
            future.set_result(part.read_ahead(stop))
        except BaseException as error:  # noqa: BLE001 - raised where the part is waited for
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
