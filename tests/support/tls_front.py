"""TLS before a plain server, as a proxy ends it: certificate of a private authority, bytes passed on as they are."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import trustme

from tests.support.leftovers import collect


class TlsFront:
    """`https://localhost:PORT` before `upstream`; `ca_bundle` is the file that makes a client trust it."""

    def __init__(self, upstream: str, folder: Path, host: str = "localhost") -> None:
        authority = trustme.CA()
        self.ca_bundle = folder / "private-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_bundle))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(self._context)
        where = urlsplit(upstream)
        self._upstream = where.hostname, where.port
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.connections = 0
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        del self._loop  # it holds the connections
        collect()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context) as server:
            self.url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            await self._end.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        behind_reader, behind_writer = await asyncio.open_connection(*self._upstream)
        with contextlib.closing(writer), contextlib.closing(behind_writer):
            await asyncio.gather(_copy(reader, behind_writer), _copy(behind_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
