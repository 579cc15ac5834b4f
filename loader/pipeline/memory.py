"""How much of fetched files is held in memory at a time, as they are unpacked."""

from __future__ import annotations

import threading
from collections.abc import Callable

POLL_SECONDS = 0.1


class BudgetClosed(Exception):
    """Nobody waits for the file any more."""


class MemoryBudget:
    """Bytes that threads share. Who waits in front of all others may exceed it: so one file is always held, however large."""

    def __init__(self, most: int) -> None:
        self._most, self._held, self._closed = most, 0, False
        self._changed = threading.Condition()

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more fit in."""
        return self._held + size <= self._most

    def take(self, size: int) -> None:
        """Takes them without waiting."""
        with self._changed:
            self._held += size

    def wait_for(self, size: int, is_first: Callable[[], bool]) -> None:
        """Takes them when they fit in, or when `is_first` says that nothing else comes before. Raises BudgetClosed."""
        with self._changed:
            while not (self._closed or self.has_room(size) or is_first()):
                self._changed.wait(POLL_SECONDS)
            if self._closed:
                raise BudgetClosed
            self._held += size

    def check_open(self) -> None:
        """Raises BudgetClosed once it is closed."""
        if self._closed:
            raise BudgetClosed

    def give_back(self, size: int) -> None:
        """Ends holding them."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Ends every wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
