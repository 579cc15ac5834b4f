"""A server at the level of sockets, for what no HTTP library would do."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class RawServer:
    """Calls `answer_all(connection)` in a thread of its own for each connection, and closes that afterwards."""

    def __init__(self) -> None:
        self.connections = 0
        self.hung_up = threading.Event()
        """Set when a connection was closed by this side."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def answer_all(self, connection: socket.socket) -> None:
        """What happens on one connection."""
        raise NotImplementedError

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # A client that has had enough may leave before all is said.
        with connection, suppress(ConnectionError):
            self.answer_all(connection)
        self.hung_up.set()
