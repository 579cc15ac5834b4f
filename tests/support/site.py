"""`manage`: runs manage.py as a process of its own on a migrated database of its own, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.fork_server import ROOT, SETTINGS, ForkServer

POSTGRES = os.environ.get("FNLOADER_TEST_POSTGRES", "")
"""`postgres://user@host:port/database` of a server on which tests may create databases; empty: SQLite."""


@dataclass
class Manage:
    """A site with a database of its own; calls are processes."""

    environment: dict[str, str] = field(default_factory=dict)
    fork: ForkServer | None = None

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Starts `manage.py words…` and leaves it running."""
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", str(ROOT / "manage.py"), *words],
            env=self._settings(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs `manage.py words…` to its end: forked from a process that has the libraries loaded, where there is one."""
        if self.fork:
            return self.fork.run(words, self._settings(environment))
        process = self.start(*words, **environment)
        out, err = process.communicate()
        return subprocess.CompletedProcess(list(words), process.returncode, out, err)

    def _settings(self, environment: dict[str, str]) -> dict[str, str]:
        # What the browser's fixture needs in this process would be a fault in a production site.
        ours = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
        return ours | {"DJANGO_SETTINGS_MODULE": SETTINGS} | self.environment | environment

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Asks the site's database with a connection of our own."""
        url = self.environment["DATABASE_URL"]
        if url.startswith("sqlite"):
            import sqlite3

            with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20) as lite:
                found = lite.execute(sql.replace("%s", "?"), parameters).fetchall()
            lite.close()
            return found
        with psycopg.connect(url) as connection:
            cursor = connection.execute(sql.encode(), parameters)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated database to copy: the path of a SQLite file, or the name of a PostgreSQL template."""
    with empty_database(tmp_path_factory.mktemp("migrated")) as (name, url):
        result = Manage({"DATABASE_URL": url})("migrate", "-v0")
        assert result.returncode == 0, result.stderr
        yield name


@contextmanager
def empty_database(folder: Path) -> Iterator[tuple[str, str]]:
    """A database without a table: its name for `a_site`, which copies it once it is filled, and its URL."""
    if not POSTGRES:
        path = folder / "db.sqlite3"
        yield str(path), f"sqlite:///{path}"
        return
    name = f"fnloader_template_{uuid.uuid4().hex[:8]}"
    _postgres(f"CREATE DATABASE {name}")
    yield name, _url(name)
    if name in _copies:
        _copies.pop(name).close()
    _postgres(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Take `manage`."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def manage(migrated: str, tmp_path: Path, fork_server: ForkServer) -> Iterator[Manage]:
    """A site of its own for one test."""
    with a_site(migrated, tmp_path, fork_server) as site:
        yield site


@contextmanager
def a_site(migrated: str, folder: Path, fork: ForkServer) -> Iterator[Manage]:
    """A site with a copy of the migrated database, and its files in that folder."""
    # Whatever broker the environment names: no site takes another one's jobs.
    environment = {
        "REPORTS_DIR": str(folder / "reports"),
        "HOST_NAME": "test-host",
        "JOB_QUEUE": f"test-{uuid.uuid4().hex[:12]}",
    }
    if not POSTGRES:
        copy = folder / "db.sqlite3"
        copy.write_bytes(Path(migrated).read_bytes())
        yield Manage(environment | {"DATABASE_URL": f"sqlite:///{copy}"}, fork)
        return
    if migrated not in _copies:
        _copies[migrated] = Copies(migrated)
    copies = _copies[migrated]
    name = copies.take()
    yield Manage(environment | {"DATABASE_URL": _url(name)}, fork)
    copies.drop(name)


class Copies:
    """Databases that are made of a template ahead of their use, and dropped behind it: no test waits for either."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._thread = ThreadPoolExecutor(1)
        self._next = self._thread.submit(self._make)

    def take(self) -> str:
        """The name of one that nobody has had."""
        name = self._next.result()
        self._next = self._thread.submit(self._make)
        return name

    def drop(self, name: str) -> None:
        """Nobody needs it any more."""
        self._thread.submit(_postgres, f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """Drops the one that nobody took, and waits for all that is still to be dropped."""
        self.drop(self._next.result())
        self._thread.shutdown()

    def _make(self) -> str:
        name = f"fnloader_test_{uuid.uuid4().hex[:12]}"
        _postgres(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        # The server itself is never killed here: nothing is learnt by waiting for its disk.
        _postgres(f"ALTER DATABASE {name} SET synchronous_commit = off")
        return name


_copies: dict[str, Copies] = {}
"""By the name of their template."""


def _url(name: str) -> str:
    return POSTGRES.rsplit("/", 1)[0] + "/" + name


def _postgres(statement: str) -> None:
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(statement.encode())
