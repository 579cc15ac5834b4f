"""What is still to be written when something ends: on a connection that works, and without hiding why it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, InterfaceError, connections


@contextmanager
def last_write(alias: str = "default") -> Iterator[None]:
    """For the last write before a process or a step ends: the connection is opened anew if the database ended it.

    A database that is unavailable is passed over: what the block would have written is lost, and the error before it is raised.
    """
    connection = connections[alias]
    with suppress(DatabaseError, InterfaceError):
        if connection.connection is not None and not connection.in_atomic_block and not connection.is_usable():
            connection.close()
        yield
