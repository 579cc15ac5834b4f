"""What goes wrong inside the findNeighbour4 stand-in: its engine, its database, and the lock of inserts."""

import re
import time
from enum import Enum
from typing import Any

DATABASE_DOWN = "(psycopg2.OperationalError) could not connect to server: Connection refused"
READ_ONLY = "(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT in a read-only transaction"
ENGINE_DOWN = "HTTPConnectionPool(host='localhost', port=5999): Max retries exceeded with url: /info"
BREAKS_LINKS = {
    "new": re.compile(r"^\.{0,2}$|[/#?+]"),
    "old": re.compile(r"""^\.{0,2}$|[^\x00-\x7f]|[/#?\\|%"^\[\]{}<>` ]"""),
}


class Damage(Enum):
    """What an insert that stores its row leaves undone."""

    LINKS = "the engine holds the sample, its links are not stored"
    SAMPLE = "neither does the engine hold the sample, nor are there links"
    ANSWER = "as SAMPLE, and the process died: no answer"


class Condition:
    """The state of engine and database.

    `engine_dies`, `breaks_links` and `dies_before_links` are for how many of the next inserts that will happen.
    """

    def __init__(self) -> None:
        self.database_down = False
        self.database_read_only = False
        self.engine_down = False
        self.engine_build = "new"
        self.engine_dies = 0
        self.breaks_links = 0
        self.dies_before_links = 0

    def set(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """Change one of the attributes; ValueError for an unknown build."""
        if name == "engine_build" and value not in BREAKS_LINKS:
            raise ValueError(f"engine_build is one of {', '.join(BREAKS_LINKS)}")
        setattr(self, name, type(getattr(self, name))(value))

    @property
    def obstacle(self) -> str:
        """Why no insert can be stored now; empty when it can."""
        if self.database_down:
            return DATABASE_DOWN
        if self.engine_down:
            return ENGINE_DOWN
        return READ_ONLY if self.database_read_only else ""

    def next_damage(self, guid: str) -> Damage | None:
        """What the next insert leaves undone; counts it."""
        if self.dies_before_links:
            self.dies_before_links -= 1
            return Damage.ANSWER
        if self.engine_dies:
            self.engine_dies -= 1
            self.engine_down = self.engine_dies == 0
            return Damage.SAMPLE
        if self.breaks_links:
            self.breaks_links -= 1
            return Damage.SAMPLE
        return Damage.LINKS if BREAKS_LINKS[self.engine_build].search(guid) else None


class InsertLock:
    """The lock that inserts take: `running` while one is working.

    One that a crash left (`stuck`) is freed by the lock manager after `lock_seconds`; without the manager it stays. `stale`
    is another one, that is freed after its own seconds.
    """

    def __init__(self) -> None:
        self.running = False
        self.manager = True
        self.lock_seconds = 120.0
        self._stale_until = 0.0
        self._stuck_since: float | None = None

    def stale(self, seconds: float) -> None:
        """Hold it for some seconds from now; 0 frees it."""
        self._stale_until = time.monotonic() + seconds

    def stuck(self, *, on: bool) -> None:
        """A crash leaves it now, or somebody drops it."""
        self._stuck_since = time.monotonic() if on else None

    @property
    def held(self) -> bool:
        """Whether an insert is refused now."""
        now = time.monotonic()
        if self._stuck_since is not None and self.manager and now - self._stuck_since >= self.lock_seconds:
            self._stuck_since = None
        return self.running or now < self._stale_until or self._stuck_since is not None
