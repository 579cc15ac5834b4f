"""How far an upload is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from django.core.management.base import OutputWrapper

from batches.choices import UploadOutcome
from batches.sending import Sent

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

EVERY = 5.0
"""Seconds between two plain lines."""


class Progress(AbstractContextManager["Progress"]):
    """Counts what is sent, and says so."""

    def __init__(self, out: OutputWrapper, bid: str) -> None:
        self._out = out
        self._bid = bid
        self._bar: Bar | None = None
        self._total = self._done = self._failed = 0
        self._said = time.monotonic()

    def begin(self, total: int) -> None:
        """So many records are to be sent."""
        self._total = total
        if self._out.isatty():
            from rich.progress import Progress as Bar

            self._bar = Bar()
            self._bar.start()
            self._bar.add_task(f"uploading {self._bid}", total=total)
        else:
            self._out.write(f"uploading {self._bid}: {total} to send")

    def tell(self, sent: Sent) -> None:
        """One more is dealt with."""
        self._done += 1
        self._failed += sent.outcome is not UploadOutcome.SUCCESS
        if self._bar:
            self._bar.advance(self._bar.task_ids[0])
        elif time.monotonic() - self._said > EVERY:
            self._said = time.monotonic()
            failed = f", {self._failed} of them not uploaded" if self._failed else ""
            self._out.write(f"uploading {self._bid}: {self._done} of {self._total}{failed}")
            self._out.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
