"""How far long work is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from django.core.management.base import OutputWrapper

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

EVERY = 5.0
"""Seconds between two plain lines."""


class Progress(AbstractContextManager["Progress"]):
    """Says how many of how many are done.

    `foretold`: the notes say what is to be expected, so they are shown at once, and on a terminal, too.
    """

    def __init__(self, out: OutputWrapper, what: str, *, foretold: bool = False) -> None:
        self._out, self._what, self._foretold = out, what, foretold
        self._bar: Bar | None = None
        self._said = float("-inf") if foretold else time.monotonic()

    def show(self, done: int, total: int, note: str = "") -> None:
        """So many are done, the first time to be called with 0 of them."""
        if self._out.isatty():
            self._show_bar(done, total, note)
        elif time.monotonic() - self._said > EVERY:
            self._said = time.monotonic()
            self._out.write(f"{self._what}: {done:,} of {total:,}{note}")
            self._out.flush()

    def end(self) -> None:
        """Takes the bar away."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _show_bar(self, done: int, total: int, note: str) -> None:
        if not self._bar:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            text = TextColumn("{task.description}")
            columns = [text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
            # Where the note says how long it will take, all of the line is for that.
            self._bar = Bar(*([text, BarColumn(10)] if self._foretold else columns), transient=True)
            self._bar.add_task(self._what)
            self._bar.start()
        self._bar.update(
            self._bar.task_ids[0],
            completed=done,
            total=total,
            description=self._what + (note if self._foretold else ""),
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()
