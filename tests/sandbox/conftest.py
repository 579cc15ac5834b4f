"""A findNeighbour4 stand-in that its tests share, as new for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.clients import Fn4Sandbox
from tests.sandbox.calls import LENGTH, wait_until

AS_STARTED = {
    "workers": 0,
    "worker_timeout": 150,
    "insert_seconds": 0,
    "database_down": False,
    "database_read_only": False,
    "engine_down": False,
    "engine_build": "new",
    "engine_dies": 0,
    "breaks_links": 0,
    "dies_before_links": 0,
    "stale_lock": 0,
    "stuck_lock": False,
    "lock_manager": True,
    "lock_seconds": 120,
}


@pytest.fixture(scope="module")
def running() -> Iterator[Fn4Sandbox]:
    with Fn4Sandbox(LENGTH) as box:
        yield box


@pytest.fixture
def box(running: Fn4Sandbox) -> Iterator[Fn4Sandbox]:
    """An empty server that works, and takes no time."""
    yield running
    running.clear_faults()
    running.set(**AS_STARTED)
    wait_until(lambda: running.stats()["in_flight"] == 0)
    running.emptied()
    running.call("DELETE", "stats")
    running.clear_log()
