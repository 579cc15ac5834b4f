"""Several batches at a time, in threads: their checks are mostly waiting, for a store or between two counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from django.db import connections

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_A_TIME = 8
"""Each has a connection to the store and one to the database."""
PATIENCE = 5.0
"""Seconds that an interrupted run waits for what its threads are in the middle of; nothing of that is written by halves."""


class Stopped(BaseException):
    """The run was interrupted, or another thread of it failed (no Exception, so that no handler of errors swallows it)."""


class Crew:
    """Does one thing with each of several items. What is done may sleep with `sleep`, which ends when the run does."""

    def __init__(self, at_a_time: int = AT_A_TIME) -> None:
        self._at_a_time = at_a_time
        self._stop = Event()

    def sleep(self, seconds: float) -> None:
        """Sleeps; raises Stopped as soon as the run is over."""
        if self._stop.wait(seconds):
            raise Stopped

    def each(self, do: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """The results in the order of the items. An error that `do` lets through ends the run, and is raised here."""
        todo: SimpleQueue[tuple[int, Item]] = SimpleQueue()
        for numbered in enumerate(items):
            todo.put(numbered)
        results: dict[int, Result] = {}
        ended: SimpleQueue[BaseException | None] = SimpleQueue()

        def work() -> None:
            try:
                while not self._stop.is_set():
                    number, item = todo.get_nowait()
                    results[number] = do(item)
            except Empty:
                ended.put(None)
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                ended.put(error)
            else:
                ended.put(Stopped())
            finally:
                connections.close_all()

        self._run([Thread(target=work, daemon=True) for _ in range(min(self._at_a_time, len(items)))], ended)
        return [results[number] for number in range(len(items))]

    def _run(self, threads: list[Thread], ended: SimpleQueue[BaseException | None]) -> None:
        for thread in threads:
            thread.start()
        try:
            for _ in threads:
                if error := ended.get():
                    raise error
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(PATIENCE)
