"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from django.core.management.base import OutputWrapper

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LINE_INTERVAL = 5.0
"""Seconds between two plain lines."""


class Progress(AbstractContextManager["Progress"]):
    """Shows how many of how many are done.

    With `forecast` the notes hold a forecast, so they are shown from the start, and on a terminal too.
    """

    def __init__(self, out: OutputWrapper, title: str, *, forecast: bool = False) -> None:
        self._out, self._title, self._forecast = out, title, forecast
        self._bar: Bar | None = None
        self._shown_at = float("-inf") if forecast else time.monotonic()

    def show(self, done: int, total: int, note: str = "") -> None:
        """Shows `done` of `total`. Call it with 0 first."""
        if not self._out.isatty():
            if time.monotonic() - self._shown_at > LINE_INTERVAL:
                self._shown_at = time.monotonic()
                self._out.write(f"{self._title}: {done:,} of {total:,}{note}")
                self._out.flush()
            return
        if not self._bar:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            text = TextColumn("{task.description}")
            columns = [text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
            # A forecast needs the whole line.
            self._bar = Bar(*([text, BarColumn(10)] if self._forecast else columns), transient=True)
            self._bar.add_task(self._title)
            self._bar.start()
        description = self._title + (note if self._forecast else "")
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=description)

    def end(self) -> None:
        """Removes the bar."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()
