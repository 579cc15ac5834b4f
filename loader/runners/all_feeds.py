"""All feeds in one process: a thread for each server (`fnload --all`)."""

from __future__ import annotations

import threading

from django.db import DatabaseError, InterfaceError, connections

from loader.runners.daemon import REFRESH_SECONDS, LoadOptions, ServerWorker


class AllFeedsRunner:
    """Feeds every server that has a feed to load."""

    def __init__(self, options: LoadOptions) -> None:
        self.options = options

    def run(self) -> None:
        """Runs until it is stopped, or once each."""
        threads: dict[int, threading.Thread] = {}
        while not self.options.stop():
            servers: list[int] = []
            try:
                servers = list(self.options.feeds().order_by("server").values_list("server", flat=True).distinct())
            except (DatabaseError, InterfaceError) as error:
                if self.options.once:
                    raise
                self.options.database_failed(error)
            for server in servers:
                if not (server in threads and threads[server].is_alive()):
                    threads[server] = threading.Thread(target=self._serve, args=(server,), name=f"server-{server}")
                    threads[server].start()
            if self.options.once:
                break
            self.options.wait(REFRESH_SECONDS)
        for thread in threads.values():
            thread.join()

    def _serve(self, server: int) -> None:
        """The work of one thread, which closes its own connections."""
        worker = ServerWorker(self.options, server)
        try:
            worker.run()
        finally:
            worker.close()
            connections.close_all()
