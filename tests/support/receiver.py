"""`receiver`: a server that records alarms."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest


class Receiver(http.server.ThreadingHTTPServer):
    """Records requests in `got`; responds with `status`, `answer` and, if set, a `location`."""

    daemon_threads = True

    def __init__(self) -> None:
        self.got: list[tuple[str, str, Any]] = []
        self.status = 204
        self.answer = b""
        self.location = ""
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                receiver.got.append((self.command, self.path, json.loads(body) if body else None))
                self.send_response(receiver.status)
                self.send_header("content-length", str(len(receiver.answer)))
                if receiver.location:
                    self.send_header("location", receiver.location)
                self.end_headers()
                self.wfile.write(receiver.answer)

            do_GET = do_POST = do  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
