"""A database that fails in the middle of what is written."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connection


@dataclass
class FailingWrite:
    """Lets so many writes pass, and refuses the next one."""

    passes: int
    statement: str = ""
    """The write that was refused."""

    def __call__(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:  # noqa: ANN401 - Django's signature
        """Called by Django for each statement."""
        if sql.startswith(("INSERT", "UPDATE", "DELETE")):
            self.passes -= 1
            if self.passes == -1:
                self.statement = sql
                raise OperationalError("the server closed the connection unexpectedly")
        return execute(sql, *arguments)


def each_failing_write(operation: Callable[[], object]) -> Iterator[str]:
    """Runs the operation again and again: its first write fails, then its second … Yields each write that failed.

    The last run, in which none fails, has no turn.
    """
    for passes in itertools.count():
        failing = FailingWrite(passes)
        try:
            with connection.execute_wrapper(failing):
                operation()
        except OperationalError:
            yield failing.statement
        else:
            assert not failing.statement, "the error was swallowed"
            return
