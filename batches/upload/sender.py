"""Sends the records of a batch: marks small groups before anything is put, and writes each outcome as soon as it is known.

Threads only read files and talk to the store; this thread alone talks to the database. A group is committed as `sending`
before its first object is put, so whatever dies, an object that may be in the bucket belongs to a record that says so.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from queue import SimpleQueue
from threading import Event, Thread

from django.db import connection, transaction
from django.utils import timezone

from batches.choices import TO_SEND, UploadOutcome
from batches.models import Batch, BatchRecord
from batches.models.record import MAX_MESSAGE_LENGTH
from batches.upload.lock import HEARTBEAT_SECONDS, UploadLock
from batches.upload.media_pause import MediaThrottle
from batches.upload.put import LARGE_FILE, ObjectPutter, PutResult, UploadItem, not_sent
from core.processes import monotonic
from objectstores.base import Store

UPLOAD_THREADS = 48
"""They wait for the store most of the time; s5cmd has 256. With 16 it is a fifth slower (bench/batches.py)."""
MIN_GROUP_SIZE, MAX_GROUP_SIZE = 8, 50
"""Records that are marked in one transaction; two groups are in flight at a time, so that no thread waits for a commit.

All records that are marked when the upload dies may become uncertain, so a group is as small as the store's speed allows.
"""
MIN_GROUP_SECONDS = 0.04
"""A group that takes less is too small: commits would be most of the work."""
PAGE_SIZE = 1000
MAX_FAILURES_IN_A_ROW = 20
"""After this many failures in a row the upload stops: it is not the objects' fault."""


@dataclass
class Sender:
    """Sends the records of a batch that are not sent yet, once, in the order of their rows."""

    batch: Batch
    store: Store
    lock: UploadLock
    on_result: Callable[[PutResult], None]
    resend_uncertain: bool = False
    pause_reason: Callable[[], str] = lambda: ""
    """Asked between two groups: why to stop now; empty to continue."""
    stop_reason: str = ""
    """Why it stopped before the end; empty if it did not."""
    is_paused: bool = False
    """Whether it stopped because of `pause_reason`."""
    _in_flight: int = 0
    _failures_in_a_row: int = 0
    _group_size: int = MIN_GROUP_SIZE
    _throttle: MediaThrottle = field(init=False)
    _putter: ObjectPutter = field(init=False)
    _unwritten: list[PutResult] = field(default_factory=list)
    _marked: list[UploadItem] = field(default_factory=list)
    """The latest group that was marked: an interrupt may come before the threads have all of it."""
    _queue: SimpleQueue[UploadItem | None] = field(default_factory=SimpleQueue)
    _results: deque[PutResult] = field(default_factory=deque)
    _wanted: int = 0
    """After so many results this thread is woken: once a group, not once an object."""
    _has_wanted: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self._throttle = MediaThrottle(self.batch)

        def may_send() -> bool:
            return not self.stop_reason and self.lock.is_held()

        self._putter = ObjectPutter(self.store, self.batch.folder or "", self._throttle, may_send)

    def run(self) -> None:
        """Sends until nothing is left or there is a `stop_reason`. Raises UploadLockLost; an interrupt passes after what is in
        flight has ended and is recorded."""

        def put_queued() -> None:
            while item := self._queue.get():
                self._results.append(self._putter.put(item))
                if len(self._results) >= self._wanted:
                    self._has_wanted.set()

        threads = [Thread(target=put_queued, daemon=True) for _ in range(UPLOAD_THREADS)]
        for thread in threads:
            thread.start()
        try:
            self._send_all()
        except BaseException as error:
            self.stop_reason = self.stop_reason or "interrupted"
            if isinstance(error, KeyboardInterrupt):
                # It may have come in the middle of a commit; whatever was written after that would never be committed.
                connection.close()
                connection.connect()
            raise
        finally:
            for _ in threads:
                self._queue.put(None)
            for thread in threads:
                thread.join()
            # Until the queue is empty, not until a number is reached: an interrupt may have lost count.
            self._receive_all()
            known = {result.item.pk for result in self._unwritten}
            self._unwritten += [not_sent(item) for item in self._marked if item.pk not in known]
            self._commit([])

    def _send_all(self) -> None:
        """Keeps two groups in flight; a group grows after a quick one and shrinks after a slow one."""
        items, has_more = self._items_to_send(), True
        while True:
            if not self.stop_reason:
                self.stop_reason = self.pause_reason()
                self.is_paused = bool(self.stop_reason)
            while has_more and not self.stop_reason and self._in_flight <= self._group_size:
                group = list(islice(items, self._group_size))
                has_more = bool(group)
                self._commit(group)
            if self._in_flight <= 0:
                return
            began = monotonic()
            if self._receive_group():
                elapsed = monotonic() - began
                if elapsed < MIN_GROUP_SECONDS:
                    self._group_size = min(self._group_size * 2, MAX_GROUP_SIZE)
                elif elapsed > 4 * MIN_GROUP_SECONDS:
                    self._group_size = max(self._group_size // 2, MIN_GROUP_SIZE)
            self.lock.heartbeat()

    def _items_to_send(self) -> Iterator[UploadItem]:
        """A page of rows at a time, chosen here: a database might sort the whole batch for each page."""
        records = BatchRecord.objects.filter(batch=self.batch).order_by("row")
        outcomes = {*TO_SEND, UploadOutcome.UNCERTAIN} if self.resend_uncertain else {*TO_SEND}
        columns = ["pk", "row", "key", "file", "upload_outcome", *(["source"] if self._throttle.is_needed else [])]
        last_row = 0
        while page := list(records.filter(row__gt=last_row).values_list(*columns)[:PAGE_SIZE]):
            for pk, row, key, file, outcome, *source in page:
                if key and file and outcome in outcomes:
                    media = any(map(self._throttle.has_media, source))
                    yield UploadItem(pk, row, key, file, outcome == UploadOutcome.UNCERTAIN, media)
            last_row = page[-1][1]

    def _commit(self, group: list[UploadItem]) -> None:
        """Writes the outcomes that are known and marks the next group; then hands the group to the threads."""
        pks_by_outcome: dict[tuple[UploadOutcome, str | None], list[int]] = {}
        for result in self._unwritten:
            pks_by_outcome.setdefault((result.outcome, result.message), []).append(result.item.pk)
        with transaction.atomic():
            for (outcome, message), pks in pks_by_outcome.items():
                # Only what is still ours: a run that took over has looked for them itself.
                records = BatchRecord.objects.filter(pk__in=pks, upload_outcome=UploadOutcome.SENDING)
                records.update(upload_outcome=outcome, upload_message=message and message[:MAX_MESSAGE_LENGTH])
            self._marked = [found for item in group if (found := self._with_file(item))]
            if self._marked:
                self.lock.renew()
                BatchRecord.objects.filter(pk__in=[item.pk for item in self._marked]).update(
                    upload_outcome=UploadOutcome.SENDING, upload_message=None, sent_at=timezone.now()
                )
        self._unwritten = []
        for item in self._marked:
            # In this order, so that an interrupt between the two can't leave us waiting for an item that was never begun.
            self._queue.put(item)
            self._in_flight += 1

    def _with_file(self, item: UploadItem) -> UploadItem | None:
        """The item if it can be sent; if not, its record says why."""
        with suppress(OSError, ValueError):
            status = os.stat(self._putter.path(item))  # noqa: PTH116 - once a record: pathlib takes four times as long
            if stat.S_ISREG(status.st_mode):
                return item if status.st_size < LARGE_FILE else item._replace(large=True)
        message = f"file {item.file!r} not found"
        if not item.uncertain:
            values = {"upload_outcome": UploadOutcome.UNUPLOADABLE, "upload_message": message[:MAX_MESSAGE_LENGTH]}
            BatchRecord.objects.filter(pk=item.pk).update(**values)
        self.on_result(PutResult(item, UploadOutcome.UNUPLOADABLE, message))
        return None

    def _receive_group(self) -> bool:
        """Waits until a group has its results, or for the lock's next sign of life; returns whether it has."""
        self._wanted = min(self._group_size - len(self._unwritten), self._in_flight)
        self._has_wanted.clear()
        has_all = len(self._results) >= self._wanted or self._has_wanted.wait(HEARTBEAT_SECONDS / 2)
        self._receive_all()
        return has_all

    def _receive_all(self) -> None:
        with suppress(IndexError):
            while True:
                self._receive(self._results.popleft())

    def _receive(self, result: PutResult) -> None:
        self._in_flight -= 1
        self._unwritten.append(result)
        self.on_result(result)
        if result.outcome is UploadOutcome.SUCCESS:
            self._failures_in_a_row = 0
        elif result.outcome in (UploadOutcome.FAILURE, UploadOutcome.UNCERTAIN):
            self._failures_in_a_row += 1
            if result.is_fatal:
                self.stop_reason = self.stop_reason or result.message or ""
            elif self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                self.stop_reason = (
                    self.stop_reason or f"{MAX_FAILURES_IN_A_ROW} objects in a row failed; the last: {result.message}"
                )
