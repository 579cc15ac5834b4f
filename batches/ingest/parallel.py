"""Several batches at a time, in threads: their checks mostly wait, for a store or between two counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

from django.db import connections

from objectstores.wire import while_waiting

Item = TypeVar("Item")
Result = TypeVar("Result")
Sleep = Callable[[float], None]

MAX_THREADS = 8
"""Each has a connection to the store and one to the database."""


class RunCancelled(BaseException):
    """The run was interrupted, or another item failed (not an Exception, so that no error handler swallows it)."""


def run_parallel(
    function: Callable[[Item, Sleep], Result], items: Sequence[Item], max_threads: int = MAX_THREADS
) -> list[Result]:
    """Calls `function(item, sleep)` for each item; returns the results in the order of the items.

    The first error ends the run and is raised here. `function` must wait with `sleep`, and call it with 0 now and then during
    long work: it raises RunCancelled once the run is over.
    """
    cancelled = Event()

    def sleep(seconds: float) -> None:
        if cancelled.wait(seconds):
            raise RunCancelled

    def run(item: Item) -> Result:
        try:
            sleep(0)
            with while_waiting(lambda: sleep(0)):
                return function(item, sleep)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_threads) as pool:
        try:
            # Here, as the first threads run already: an interrupt must end them, too.
            futures = [pool.submit(run, item) for item in items]
            for future in as_completed(futures):
                future.result()
        finally:
            cancelled.set()
    return [future.result() for future in futures]
