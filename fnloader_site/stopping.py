"""How something long is told to stop: a signal sets a flag, and what is under way is finished and recorded first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Told:
    """Whether somebody said so; `signal` is the number of the signal, or 0."""

    signal = 0

    def stop(self) -> bool:
        """Whether it is time to stop."""
        return bool(self.signal)


@contextmanager
def told_to_stop(*signals: int) -> Iterator[Told]:
    """SIGTERM and Ctrl-C (or the given signals) only set a flag, so that an insert in flight is finished and recorded."""
    told = Told()

    def note(number: int, _frame: object) -> None:
        told.signal = number

    before = {number: signal.signal(number, note) for number in signals or (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
