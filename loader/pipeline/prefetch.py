"""Fetches, checks and parses the next samples while one is inserted (domain.md 2)."""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from itertools import islice
from threading import BoundedSemaphore

from django.db import DatabaseError, InterfaceError

from core.digests import digest
from loader.fasta.parser import NotLoadable, Sample, first_characters, read_sample, unpacked
from loader.models import BucketObject
from loader.pipeline.context import LoadContext
from loader.pipeline.memory import BudgetClosed, MemoryBudget
from loader.pipeline.read_marks import ENDED_BY, ReadMarks, is_hopeless
from loader.pipeline.server_check import wrong_length
from loader.pipeline.unexpected import unexpected
from objectstores.base import Archived, Changed, Denied, Misconfigured, NotFound, StoreError, TooLarge
from objectstores.listing import MAX_NAME_BYTES
from objectstores.wire import while_waiting

THREADS = 8
LARGE_FILE = 1_000_000
LARGE_FILE_THREADS = 2
"""Threads for files of more than LARGE_FILE bytes: with eight they would share the CPUs, and all be late."""
SWITCH_SECONDS = 0.0005
"""How long a thread keeps the GIL while another one waits for it (5 ms by default): the thread that inserts waits least."""
PREFETCHED_SAMPLES = 48
PREFETCHED_BYTES = 128_000_000
"""The most that is held at a time, unpacked; one file always is, however large."""
MAX_DAMAGED_TRIES = 3
UNSTORABLE = (
    f"the name has more than {MAX_NAME_BYTES:,} bytes or is no text (NUL, no Unicode), or the store's tag of this version is: "
    "rename the object"
)


class FetchOutcome(Enum):
    """How a fetch ended."""

    READY = "ready"
    NEVER = "never"
    GONE = "gone"
    DAMAGED = "damaged"
    ARCHIVED = "archived"
    LATER = "later"
    """The store did not answer: no try is spent."""
    FAILED = "failed"
    """The store refuses this file, or fnloader fails on it."""


ERROR_OUTCOMES: dict[type[StoreError], FetchOutcome] = {
    NotFound: FetchOutcome.GONE,
    Changed: FetchOutcome.GONE,
    TooLarge: FetchOutcome.DAMAGED,
    Archived: FetchOutcome.ARCHIVED,
    Denied: FetchOutcome.FAILED,
    Misconfigured: FetchOutcome.FAILED,
}


@dataclass(slots=True)
class Fetched:
    """One object with its parsed sample, or why it is not sent."""

    item: BucketObject
    outcome: FetchOutcome
    read_start: datetime
    read_end: datetime
    problem: str = ""
    head: str = ""
    sample: Sample | None = None
    has_wrong_length: bool = False
    """Its sequence has another length than the server's reference, which refuses it."""
    held: int = 0
    """Bytes of the memory budget."""


class Prefetch:
    """A window of downloads, in the order of their inserts."""

    def __init__(self, context: LoadContext) -> None:
        self._feed, self._store, self._clock = context.feed, context.store, context.clock
        self._reference_length = context.reference_length
        self._marks = ReadMarks(context.db, context.clock)
        self.samples = PREFETCHED_SAMPLES
        """The most that is held at a time."""
        self._rules = self._feed.fasta_rules
        sys.setswitchinterval(SWITCH_SECONDS)
        self._threads = ThreadPoolExecutor(THREADS, "fetch")
        self._few_threads = ThreadPoolExecutor(LARGE_FILE_THREADS, "fetch-large")
        self._parse_large = BoundedSemaphore(LARGE_FILE_THREADS)
        self._budget = MemoryBudget(PREFETCHED_BYTES)
        self._marked: deque[BucketObject] = deque()
        """The next to read."""
        self._window: deque[tuple[BucketObject, Future[Fetched]]] = deque()

    def fill(self, items: Iterator[BucketObject], held: int) -> None:
        """Starts downloads while there is room; `held` counts the samples that were taken and not yet inserted."""
        while len(self._window) + held < self.samples:
            if not self._marked:
                self._marked.extend(islice(items, max(1, self.samples // 2)))
                self._marks.begin(self._marked)
            if not self._marked:
                return
            item = self._marked[0]
            size = min(item.size, self._feed.largest)
            alone = item.read_since or (self._window and self._window[-1][0].read_since)
            if (alone and (self._window or held)) or (self._window and not self._budget.has_room(size)):
                return
            if item.read_since:
                self._marks.begin_alone(item)
            self._budget.take(size)
            threads = self._few_threads if size > LARGE_FILE else self._threads
            self._window.append((item, threads.submit(self._fetch, item, size)))
            self._marked.popleft()

    @property
    def ready(self) -> bool:
        """Whether `take` would not wait."""
        return bool(self._window) and self._window[0][1].done()

    def take(self, heartbeat: Callable[[], None]) -> list[Fetched]:
        """Waits for the next sample and returns it with those behind it that are ready, too. Empty: there are no more.

        What it returns counts as held until `release`.
        """
        if not self._window:
            return []
        while not wait([self._window[0][1]], timeout=1.0).done:
            heartbeat()
        fetched: list[Fetched] = []
        while self.ready and len(fetched) < PREFETCHED_SAMPLES // 2:
            item, future = self._window[0]
            if item.read_since:
                self._marks.end_alone(item)
            fetched.append(future.result())
            self._window.popleft()
        return fetched

    def release(self, fetched: Fetched, keep: int = 0) -> None:
        """Its sequence is no longer held, or only so many bytes of it."""
        self._budget.give_back(fetched.held - keep)
        fetched.held = keep

    def close(self) -> None:
        """Drops the rest."""
        self._budget.close()
        for threads in (self._threads, self._few_threads):
            threads.shutdown(wait=False, cancel_futures=True)
        if self._window and self._window[0][0].read_since:
            with suppress(DatabaseError, InterfaceError):
                self._marks.end_alone(self._window[0][0])
        self._marks.drop([*self._marked, *(item for item, _ in self._window)])

    def _fetch(self, item: BucketObject, size: int) -> Fetched:
        start = self._clock.now()
        fetched = Fetched(item, FetchOutcome.NEVER, start, start, held=size)
        try:
            with while_waiting(self._budget.check_open):
                self._read(fetched)
        except StoreError as error:
            kinds = (outcome for kind, outcome in ERROR_OUTCOMES.items() if isinstance(error, kind))
            fetched.outcome, fetched.problem = next(kinds, FetchOutcome.LATER), str(error)
        except BudgetClosed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs this file its turn
            fetched.outcome, fetched.problem = FetchOutcome.FAILED, unexpected(error, item.name)
        if fetched.outcome is FetchOutcome.DAMAGED and item.tries + 1 >= MAX_DAMAGED_TRIES:
            fetched.outcome = FetchOutcome.NEVER
        is_ready = fetched.sample and fetched.outcome is FetchOutcome.READY
        self.release(fetched, len(fetched.sample.sequence) if is_ready and fetched.sample else 0)
        return fetched

    def _read(self, fetched: Fetched) -> None:
        """Reads, checks and parses one file; a damaged one is read once more at once."""
        item, feed = fetched.item, self._feed
        if problem := self._never_read(item):
            fetched.problem = problem
            return
        for _ in range(2):
            content = self._store.read(item.name, etag=item.etag, limit=item.size + 1)
            fetched.read_end = self._clock.now()
            if len(content) != item.size:
                fetched.problem = f"the file has {len(content):,} bytes, but {item.size:,} were listed (truncated?)"
            elif item.md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != item.md5:
                fetched.problem = "the MD5 of the file differs from the listed one (damaged?)"
            else:
                fetched.problem = ""
                break
        fetched.head = first_characters(content)
        if fetched.problem:
            fetched.outcome = FetchOutcome.DAMAGED
            return

        def reserve(size: int) -> None:
            self._budget.wait_for(size, lambda: bool(self._window) and self._window[0][0] is item)
            fetched.held += size

        try:
            text = unpacked(content, feed.largest, reserve)
            fetched.head = first_characters(text)
            with self._parse_large if len(text) > LARGE_FILE else nullcontext():
                fetched.sample = read_sample(text, item.name, self._rules)
        except NotLoadable as error:
            fetched.problem = str(error)
            return
        letters = len(fetched.sample.sequence)
        if self._reference_length not in (None, letters):
            fetched.problem, fetched.has_wrong_length = wrong_length(letters, self._reference_length or 0), True
        else:
            fetched.outcome = FetchOutcome.READY

    def _never_read(self, item: BucketObject) -> str:
        """Why this file is rejected unread; empty if it is read."""
        if digest(item.name, item.etag) != item.version or len(item.name.encode()) > MAX_NAME_BYTES:
            # The ledger holds its name or etag only as far as a row can (ledger/scan.py).
            return UNSTORABLE
        if is_hopeless(item):
            return f"{ENDED_BY}, {item.tries} times"
        if item.size > self._feed.largest:
            return f"the file has {item.size:,} bytes; the limit is {self._feed.largest:,}"
        return ""
