"""Fetches, checks and parses the next samples while one is inserted (domain.md 2)."""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from loader.coordination.database_clock import DatabaseClock
from loader.fasta.parser import NotLoadable, Sample, first_characters, read_sample, unpacked
from loader.models import BucketObject, Feed
from loader.pipeline.server_check import wrong_length
from objectstores.base import Archived, Changed, Denied, Misconfigured, NotFound, Store, StoreError, TooLarge

THREADS = 8
LARGE_FILE = 1_000_000
LARGE_FILE_THREADS = 2
"""Threads for files of more than LARGE_FILE bytes: with eight they would share the CPUs, and all be late."""
SWITCH_SECONDS = 0.0005
"""How long a thread keeps the GIL while another one waits for it (5 ms by default): the thread that inserts waits least."""
PREFETCHED_SAMPLES = 48
PREFETCHED_BYTES = 128_000_000
"""The most that is held at a time; one file always is, however large."""
MAX_DAMAGED_TRIES = 3
MAX_PROBLEM_LENGTH = 900


class FetchOutcome(Enum):
    """How a fetch ended."""

    READY = "ready"
    NEVER = "never"
    GONE = "gone"
    DAMAGED = "damaged"
    ARCHIVED = "archived"
    LATER = "later"


ERROR_OUTCOMES: dict[type[StoreError], FetchOutcome] = {
    NotFound: FetchOutcome.GONE,
    Changed: FetchOutcome.GONE,
    TooLarge: FetchOutcome.NEVER,
    Archived: FetchOutcome.ARCHIVED,
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


class Prefetch:
    """A window of downloads, in the order of their inserts."""

    def __init__(self, feed: Feed, store: Store, clock: DatabaseClock, reference_length: int | None = None) -> None:
        self._feed, self._store, self._clock, self._reference_length = feed, store, clock, reference_length
        self.samples = PREFETCHED_SAMPLES
        """The most that is held at a time."""
        self._rules = feed.fasta_rules
        sys.setswitchinterval(SWITCH_SECONDS)
        self._threads = ThreadPoolExecutor(THREADS, "fetch")
        self._few_threads = ThreadPoolExecutor(LARGE_FILE_THREADS, "fetch-large")
        self._window: deque[tuple[BucketObject, Future[Fetched]]] = deque()
        self._bytes = 0
        self._next: BucketObject | None = None

    def fill(self, items: Iterator[BucketObject], held: int) -> None:
        """Starts downloads while there is room; `held` counts the samples that were taken and not yet inserted."""
        while len(self._window) + held < self.samples:
            self._next = self._next or next(items, None)
            if not self._next or (self._window and self._bytes + self._next.size > PREFETCHED_BYTES):
                return
            self._bytes += self._next.size
            threads = self._few_threads if self._next.size > LARGE_FILE else self._threads
            self._window.append((self._next, threads.submit(self._fetch, self._next)))
            self._next = None

    @property
    def ready(self) -> bool:
        """Whether `take` would not wait."""
        return bool(self._window) and self._window[0][1].done()

    def take(self, heartbeat: Callable[[], None]) -> list[Fetched]:
        """Waits for the next sample and returns it with those behind it that are ready, too. Empty: there are no more.

        Raises StoreError if the store denies access.
        """
        if not self._window:
            return []
        while not wait([self._window[0][1]], timeout=1.0).done:
            heartbeat()
        fetched: list[Fetched] = []
        while self.ready and len(fetched) < PREFETCHED_SAMPLES // 2:
            item, future = self._window.popleft()
            self._bytes -= item.size
            fetched.append(future.result())
        return fetched

    def close(self) -> None:
        """Drops the rest."""
        for threads in (self._threads, self._few_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, item: BucketObject) -> Fetched:
        start = self._clock.now()
        fetched = Fetched(item, FetchOutcome.NEVER, start, start)
        try:
            self._read(fetched)
        except (Denied, Misconfigured):
            raise
        except StoreError as error:
            kinds = (outcome for kind, outcome in ERROR_OUTCOMES.items() if isinstance(error, kind))
            fetched.outcome, fetched.problem = next(kinds, FetchOutcome.LATER), str(error)
        fetched.problem = fetched.problem[:MAX_PROBLEM_LENGTH]
        return fetched

    def _read(self, fetched: Fetched) -> None:
        """Reads, checks and parses one file; a damaged one is read once more at once."""
        item, feed = fetched.item, self._feed
        if item.size > feed.largest:
            fetched.problem = f"the file has {item.size:,} bytes; the limit is {feed.largest:,}"
            return
        for _ in range(2):
            content = self._store.read(item.name, etag=item.etag, limit=feed.largest)
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
            is_last_try = item.tries + 1 >= MAX_DAMAGED_TRIES
            fetched.outcome = FetchOutcome.NEVER if is_last_try else FetchOutcome.DAMAGED
            return
        try:
            text = unpacked(content, feed.largest)
            fetched.head = first_characters(text)
            fetched.sample = read_sample(text, item.name, self._rules)
        except NotLoadable as error:
            fetched.problem = str(error)
            return
        letters = len(fetched.sample.sequence)
        if self._reference_length not in (None, letters):
            fetched.problem, fetched.has_wrong_length = wrong_length(letters, self._reference_length or 0), True
        else:
            fetched.outcome = FetchOutcome.READY
