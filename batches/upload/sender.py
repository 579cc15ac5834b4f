"""Sends the records of a batch: marked in small groups before anything is put, each outcome written as it is known.

Threads only read files and talk to the store; this thread alone talks to the database. A group is committed as `sending`
before its first object is put, so whatever dies, an object that may be in the bucket belongs to a record that says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread

from django.db import connection, transaction
from django.utils import timezone

from batches.choices import TO_SEND, UploadOutcome
from batches.models import Batch, BatchRecord
from batches.models.record import LONGEST_MESSAGE
from batches.store import key_base
from batches.upload.lock import HEARTBEAT_SECONDS, UploadLock
from batches.upload.media_pause import MediaThrottle
from batches.upload.put import MAY_BE_INGESTED, PutResult, UploadItem, may_have_arrived, not_sent, object_exists
from core.processes import monotonic
from objectstores.base import Misconfigured, NotFound, Store, StoreError

THREADS = 16
SMALLEST_GROUP, LARGEST_GROUP = 8, 50
"""Records that are marked in one transaction; two groups are under way at a time, so that no thread waits for a commit.

All that is marked when the upload dies may become uncertain, so a group is as small as the store's speed allows.
"""
GROUP_SECONDS = 0.04
"""A group that takes less is too small: commits would be most of the work."""
PAGE = 1000
FAILURES_IN_A_ROW = 20
"""After so many objects in a row that could not be put, sending stops: it is not the objects' fault."""


@dataclass
class Sender:
    """Sends what is to be sent of a batch, once over its records in their order."""

    batch: Batch
    store: Store
    claim: UploadLock
    tell: Callable[[PutResult], None]
    resend_uncertain: bool = False
    stopped: str = ""
    """Why it stopped before the end; empty if it did not."""
    _under_way: int = 0
    _failed_in_a_row: int = 0
    _group: int = SMALLEST_GROUP
    _none_left: bool = False
    _media: MediaThrottle = field(init=False)
    _folder: str = field(init=False)
    _done: list[PutResult] = field(default_factory=list)
    _marked: list[UploadItem] = field(default_factory=list)
    """The latest group that was marked: an interrupt may come before the threads have all of it."""
    _todo: SimpleQueue[UploadItem | None] = field(default_factory=SimpleQueue)
    _results: SimpleQueue[PutResult] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self._media = MediaThrottle(self.batch)
        self._folder = self.batch.folder or ""

    def run(self) -> None:
        """Sends until nothing is left or `stopped` says why. Raises ClaimLost, and lets an interrupt through after what is in
        flight has ended and is recorded."""
        threads = [Thread(target=self._work, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            self._send_all()
        except KeyboardInterrupt:
            self.stopped = self.stopped or "interrupted"
            # It may have come in the middle of a commit, and whatever was written after that would never be committed.
            connection.close()
            connection.connect()
            raise
        except BaseException:
            self.stopped = self.stopped or "interrupted"
            raise
        finally:
            self._wind_up(threads)

    def _send_all(self) -> None:
        parcels = self._parcels()
        while True:
            while not self._none_left and not self.stopped and self._under_way <= self._group:
                group = list(islice(parcels, self._group))
                self._none_left = not group
                self._commit(group)
            if self._under_way <= 0:
                return
            self._collect()
            self.claim.beat()

    def _wind_up(self, threads: list[Thread]) -> None:
        """Waits for what is in flight and records it; what was not begun is to be sent again."""
        for _ in threads:
            self._todo.put(None)
        for thread in threads:
            thread.join()
        # Until nothing is left, not until a number is reached: an interrupt may have lost count.
        with suppress(Empty):
            while True:
                self._take(self._results.get_nowait())
        known = {sent.parcel.pk for sent in self._done}
        self._done += [not_sent(parcel) for parcel in self._marked if parcel.pk not in known]
        self._commit([])

    def _parcels(self) -> Iterator[UploadItem]:
        """What is to be sent. A page of rows at a time, chosen here: a database might sort the whole batch for each page."""
        records = BatchRecord.objects.filter(batch=self.batch).order_by("row")
        wanted = {*TO_SEND, UploadOutcome.UNCERTAIN} if self.resend_uncertain else {*TO_SEND}
        columns = ["pk", "row", "key", "file", "upload_outcome", *(["source"] if self._media.possible else [])]
        last = 0
        while page := list(records.filter(row__gt=last).values_list(*columns)[:PAGE]):
            for pk, row, key, file, outcome, *source in page:
                if key and file and outcome in wanted:
                    media = any(map(self._media.concerns, source))
                    yield UploadItem(pk, row, key, file, outcome == UploadOutcome.UNCERTAIN, media)
            last = page[-1][1]

    def _commit(self, group: list[UploadItem]) -> None:
        """Writes the outcomes that are known, and marks the next group; then hands the group to the threads."""
        done = self._done
        with transaction.atomic():
            self._write(done)
            there = [parcel for parcel in group if self._has_file(parcel)]
            self._marked = there
            if there:
                self.claim.confirm()
                BatchRecord.objects.filter(pk__in=[parcel.pk for parcel in there]).update(
                    upload_outcome=UploadOutcome.SENDING, upload_message=None, sent_at=timezone.now()
                )
        self._done = []
        for parcel in there:
            # In this order, so that an interrupt between the two can't leave us waiting for what was never begun.
            self._todo.put(parcel)
            self._under_way += 1

    def _write(self, done: list[PutResult]) -> None:
        sorts: dict[tuple[UploadOutcome, str | None], list[int]] = {}
        for sent in done:
            sorts.setdefault((sent.outcome, sent.message), []).append(sent.parcel.pk)
        for (outcome, message), pks in sorts.items():
            # Only what is still ours: a run that took over has looked at them itself.
            records = BatchRecord.objects.filter(pk__in=pks, upload_outcome=UploadOutcome.SENDING)
            records.update(upload_outcome=outcome, upload_message=message and message[:LONGEST_MESSAGE])

    def _has_file(self, parcel: UploadItem) -> bool:
        """Whether it can be sent; if not, its record says why."""
        if os.path.isfile(self._path(parcel)):  # noqa: PTH113 - once a record: pathlib takes four times as long
            return True
        message = f"there is no file {parcel.file!r}"
        if not parcel.uncertain:
            values = {"upload_outcome": UploadOutcome.UNUPLOADABLE, "upload_message": message[:LONGEST_MESSAGE]}
            BatchRecord.objects.filter(pk=parcel.pk).update(**values)
        self.tell(PutResult(parcel, UploadOutcome.UNUPLOADABLE, message))
        return False

    def _path(self, parcel: UploadItem) -> str:
        return os.path.join(self._folder, parcel.file)  # noqa: PTH118 - as above

    def _collect(self) -> None:
        """Takes results: waits for one, then for as many as make a group, while there is something in flight."""
        began = monotonic()
        try:
            while len(self._done) < self._group and self._under_way > 0:
                self._take(self._results.get(timeout=HEARTBEAT_SECONDS / 2))
        except Empty:
            return
        # The next group is larger after a quick one, smaller after a slow one.
        took = monotonic() - began
        if took < GROUP_SECONDS:
            self._group = min(self._group * 2, LARGEST_GROUP)
        elif took > 4 * GROUP_SECONDS:
            self._group = max(self._group // 2, SMALLEST_GROUP)

    def _take(self, sent: PutResult) -> None:
        self._under_way -= 1
        self._done.append(sent)
        self.tell(sent)
        if sent.outcome is UploadOutcome.SUCCESS:
            self._failed_in_a_row = 0
        elif sent.outcome in (UploadOutcome.FAILURE, UploadOutcome.UNCERTAIN):
            self._failed_in_a_row += 1
            if sent.hopeless:
                self.stopped = self.stopped or sent.message or ""
            elif self._failed_in_a_row >= FAILURES_IN_A_ROW:
                self.stopped = (
                    self.stopped or f"{FAILURES_IN_A_ROW} objects in a row could not be put; the last: {sent.message}"
                )

    def _work(self) -> None:
        base = key_base(self.store.url)
        while parcel := self._todo.get():
            try:
                with self._media.before(media=parcel.media, stopped=lambda: bool(self.stopped)):
                    sent = self._send(parcel, base + parcel.key)
            except Exception as error:  # noqa: BLE001 - a thread that dies silently would leave its record for ever
                sent = PutResult(parcel, UploadOutcome.UNCERTAIN, f"unexpected: {error!r}", hopeless=True)
            if parcel.uncertain and sent.outcome is not UploadOutcome.SUCCESS:
                sent = sent._replace(outcome=UploadOutcome.UNCERTAIN, message=sent.message or MAY_BE_INGESTED)
            self._results.put(sent)

    def _send(self, parcel: UploadItem, name: str) -> PutResult:
        try:
            with open(self._path(parcel), "rb", buffering=0) as file:  # noqa: PTH123 - as above
                content = file.read()
        except OSError as error:
            return PutResult(parcel, UploadOutcome.UNUPLOADABLE, f"{parcel.file}: {error.strerror}")
        if self.stopped or not self.claim.is_fresh():
            return not_sent(parcel)
        try:
            self.store.write(name, content)
        except StoreError as error:
            return self._after_error(parcel, name, error)
        return PutResult(parcel, UploadOutcome.SUCCESS)

    def _after_error(self, parcel: UploadItem, name: str, error: StoreError) -> PutResult:
        hopeless = isinstance(error, Misconfigured | NotFound)
        if not may_have_arrived(error):
            return PutResult(parcel, UploadOutcome.FAILURE, str(error), hopeless=hopeless)
        try:
            there = object_exists(self.store, name)
        except StoreError:
            there = False
        if there:
            return PutResult(parcel, UploadOutcome.SUCCESS)
        return PutResult(parcel, UploadOutcome.UNCERTAIN, str(error), hopeless=hopeless)
