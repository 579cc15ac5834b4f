"""What a user sees of an upload: its duplicates before it, and its progress as a bar or as lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from django.core.management.base import OutputWrapper

from batches.choices import UploadOutcome
from batches.models import Batch
from batches.upload.duplicates import DuplicateSummary, duplicate_lines
from batches.upload.put import PutResult
from core.commands import FnloaderCommand
from core.formatting import pluralize
from core.progress import Progress

SOME_FAILED = 10
"""Exit status if some records were not uploaded, or failed to ingest."""


def confirm_duplicates(command: FnloaderCommand, batch: Batch, policy: str) -> Callable[[DuplicateSummary], bool]:
    """Lists the duplicates, and returns whether to continue; `policy` is one of `--duplicates`."""

    def confirm(summary: DuplicateSummary) -> bool:
        if summary.records:
            for line in duplicate_lines(batch, summary):
                command.stdout.write(line)
        if policy == "ask" and summary.records and sys.stdin and sys.stdin.isatty():
            return command.confirmed(f"Send {batch} anyway?", yes=False)
        return policy != "refuse" or not summary.records

    return confirm


class UploadProgress:
    """Shows how many records are sent; `lock` keeps others from writing meanwhile."""

    def __init__(
        self,
        out: OutputWrapper,
        progress: Progress,
        lock: AbstractContextManager[object] | None = None,
        prefix: str = "",
    ) -> None:
        self._out, self._progress, self._lock, self._prefix = out, progress, lock or nullcontext(), prefix
        self._total = self._done = self._failed = 0

    def start(self, total: int) -> None:
        """Shows how many are to be sent."""
        self._total = total
        with self._lock:
            self._out.write(f"{self._prefix}{pluralize(total, 'record')} to send")
            self._progress.show(0, total)

    def add(self, result: PutResult) -> None:
        """Shows one more."""
        self._done += 1
        self._failed += result.outcome is not UploadOutcome.SUCCESS
        with self._lock:
            self._progress.show(self._done, self._total, f", {self._failed} not uploaded" if self._failed else "")
