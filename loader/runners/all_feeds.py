"""All feeds in one process: a thread for each server (`fnload --all`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, connections

from loader.runners.daemon import READ_AGAIN, Loading, ServerWorker


class AllFeedsRunner:
    """Feeds every server that has a feed to be fed."""

    def __init__(self, loading: Loading) -> None:
        self.loading = loading

    def run(self) -> None:
        """Until it is told to stop, or once each."""
        threads: dict[int, threading.Thread] = {}
        while not self.loading.stop():
            for server in self._servers():
                if not (server in threads and threads[server].is_alive()):
                    threads[server] = threading.Thread(target=self._serve, args=(server,), name=f"server-{server}")
                    threads[server].start()
            if self.loading.once:
                break
            self.loading.wait(READ_AGAIN)
        for thread in threads.values():
            thread.join()

    def _servers(self) -> Iterator[int]:
        try:
            yield from list(self.loading.feeds().order_by("server").values_list("server", flat=True).distinct())
        except (DatabaseError, InterfaceError) as error:
            if self.loading.once:
                raise
            self.loading.database_failed(error)

    def _serve(self, server: int) -> None:
        """What a thread does. Its connections end with it."""
        worker = ServerWorker(self.loading, server)
        try:
            worker.run()
        finally:
            worker.close()
            connections.close_all()
