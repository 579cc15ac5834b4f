"""The sync workers of gunicorn: each holds one connection from its acceptance to its end; all others wait."""

import asyncio

from sandbox.http import Connection


class Workers:
    """Lets in as many connections as there are workers (0: all), the others in the order in which they came.

    A worker that holds a connection for `timeout` seconds is killed: the connection is reset.
    """

    def __init__(self) -> None:
        self.timeout = 150.0
        self.killed = 0
        self._count = 0
        self._held: dict[Connection, asyncio.TimerHandle] = {}
        self._waiting: dict[Connection, None] = {}

    @property
    def count(self) -> int:
        """How many workers there are, 0: as many as are needed."""
        return self._count

    @count.setter
    def count(self, count: int) -> None:
        self._count = count
        self._let_in()

    @property
    def limited(self) -> bool:
        """Whether a connection may have to wait."""
        return self._count > 0

    @property
    def busy(self) -> int:
        """How many workers hold a connection."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many connections wait for a worker."""
        return len(self._waiting)

    def opened(self, connection: Connection) -> bool:
        """A connection came in; whether a worker takes it at once."""
        if not self.limited:
            return True
        if self._waiting or len(self._held) >= self._count:
            self._waiting[connection] = None
            return False
        self._take(connection)
        return True

    def closed(self, connection: Connection) -> None:
        """A connection ended, or turned out to need no worker."""
        self._waiting.pop(connection, None)
        timer = self._held.pop(connection, None)
        if timer:
            timer.cancel()
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting and (not self.limited or len(self._held) < self._count):
            connection = next(iter(self._waiting))
            del self._waiting[connection]
            if self.limited:
                self._take(connection)
            connection.let_in()

    def _take(self, connection: Connection) -> None:
        self._held[connection] = asyncio.get_running_loop().call_later(self.timeout, self._kill, connection)

    def _kill(self, connection: Connection) -> None:
        self.killed += 1
        connection.kill()
