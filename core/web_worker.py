"""gunicorn's worker of the site: a client that sends or takes slowly can't hold a thread for long.

gthread gives a connection a thread with its first byte, which then waits for the rest without end: 16 sockets that sent one
byte shut everybody out of two processes with 8 threads. Here there are many threads (gunicorn.conf.py), each wait for a client
has a deadline, and `PAGES_AT_ONCE` of them run the site's code.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

PAGES_AT_ONCE = 8
"""Requests that a process works on at once, and so its connections to the database, exports that are being sent aside."""
REQUEST_TIMEOUT = 10.0
"""Seconds for the header of a request, and for a body beside `BODY_RATE`."""
BODY_RATE = 20_000
"""Bytes a second at which a body must come at least."""
ANSWER_TIMEOUT = 3600.0
"""Seconds for an answer to be made and taken: an export of millions of rows may be long."""
SEND_BUFFER = 1_000_000
"""Bytes of an answer, as far as the system allows, that it takes over from the thread: more than a page has."""
MAX_BODY_IN_MEMORY = 1_000_000

Application = Callable[..., Iterable[bytes]]


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]
    """gthread with a deadline for whatever a thread awaits of a client."""

    wsgi: Application

    def init_process(self) -> None:
        """Runs it."""
        self.deadlines: dict[Any, float] = {}
        super().init_process()

    def load_wsgi(self) -> None:
        """Loads the site."""
        super().load_wsgi()
        self.wsgi = at_most(PAGES_AT_ONCE, self.wsgi)

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 - gunicorn's
        """Reads a request and answers it, in a thread."""
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.deadlines[conn] = time.monotonic() + REQUEST_TIMEOUT
        try:
            return super().handle(conn)
        finally:
            self.deadlines.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401 - gunicorn's
        """Reads the body before the site's code runs."""
        headers = dict(req.headers)
        length = int(headers["CONTENT-LENGTH"]) if headers.get("CONTENT-LENGTH", "").isdigit() else 0
        self.deadlines[conn] = time.monotonic() + REQUEST_TIMEOUT + length / BODY_RATE
        if headers.get("EXPECT", "").lower() == "100-continue":
            conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        received = req.body
        with SpooledTemporaryFile(MAX_BODY_IN_MEMORY) as body:
            copyfileobj(received, body)
            if body.tell() < length:
                return False  # The client is gone, or too slow.
            body.seek(0)
            self.deadlines[conn] = time.monotonic() + ANSWER_TIMEOUT
            req.body = body
            try:
                return super().handle_request(req, conn)
            finally:
                req.body = received

    def murder_pending(self) -> None:
        """Each second: ends connections that are over their deadline. Their threads meet the end of the connection."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in list(self.deadlines.items()):
            if deadline < now:
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)


def at_most(number: int, application: Application) -> Application:
    """The application, for so many requests at once; the others wait."""
    slots = threading.BoundedSemaphore(number)

    def run(*arguments: Any) -> Iterable[bytes]:  # noqa: ANN401 - those of WSGI
        with slots:
            return application(*arguments)

    return run
