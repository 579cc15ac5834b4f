"""`manage`: runs manage.py as a process, on its own migrated database, as a user would."""

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
from typing import IO, Any

import psycopg
import pytest

from tests.support.fork_server import ROOT, SETTINGS, ForkServer

POSTGRES = os.environ.get("FNLOADER_TEST_POSTGRES", "")
"""`postgres://user@host:port/database` of a server on which tests may create databases; empty: SQLite."""


@dataclass
class Manage:
    """A site with its own database; each call is a process."""

    environment: dict[str, str] = field(default_factory=dict)
    fork: ForkServer | None = None

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Starts `manage.py words…` and leaves it running."""
        return self.start_into(subprocess.PIPE, *words, **environment)

    def start_into(self, stdout: int | IO[str], *words: str, **environment: str) -> subprocess.Popen[str]:
        """The same, with another output."""
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", str(ROOT / "manage.py"), *words],
            env=self._settings(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs `manage.py words…` to its end, forked from a process that has the libraries loaded if there is one."""
        if self.fork:
            return self.fork.run(words, self._settings(environment))
        process = self.start(*words, **environment)
        out, err = process.communicate()
        return subprocess.CompletedProcess(list(words), process.returncode, out, err)

    def _settings(self, environment: dict[str, str]) -> dict[str, str]:
        # The browser's fixture needs this variable in this process, but a production site must not have it.
        inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
        return inherited | {"DJANGO_SETTINGS_MODULE": SETTINGS} | self.environment | environment

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Runs SQL on the site's database, with a separate connection."""
        url = self.environment["DATABASE_URL"]
        if url.startswith("sqlite"):
            import sqlite3

            with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20) as lite:
                rows = lite.execute(sql.replace("%s", "?"), parameters).fetchall()
            lite.close()
            return rows
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
    if name in _pools:
        _pools.pop(name).close()
    _postgres(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """For `manage`, which tests use."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def manage(migrated: str, tmp_path: Path, fork_server: ForkServer) -> Iterator[Manage]:
    """A site for one test."""
    with a_site(migrated, tmp_path, fork_server) as site:
        yield site


@contextmanager
def a_site(migrated: str, folder: Path, fork: ForkServer) -> Iterator[Manage]:
    """A site with a copy of the migrated database, and its files in that folder."""
    # No site runs the jobs of another, whatever broker the environment has.
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
    if migrated not in _pools:
        _pools[migrated] = DatabasePool(migrated)
    pool = _pools[migrated]
    name = pool.acquire()
    yield Manage(environment | {"DATABASE_URL": _url(name)}, fork)
    pool.drop(name)


class DatabasePool:
    """Copies of a template database, created before and dropped after their use in a thread, so that no test waits."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._thread = ThreadPoolExecutor(1)
        self._next = self._thread.submit(self._make)

    def acquire(self) -> str:
        """The name of an unused copy."""
        name = self._next.result()
        self._next = self._thread.submit(self._make)
        return name

    def drop(self, name: str) -> None:
        """Drops it in the thread."""
        self._thread.submit(_postgres, f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """Drops the unused copy, and waits for the thread."""
        self.drop(self._next.result())
        self._thread.shutdown()

    def _make(self) -> str:
        name = f"fnloader_test_{uuid.uuid4().hex[:12]}"
        _postgres(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        # The server is never killed here, so waiting for its disk would test nothing.
        _postgres(f"ALTER DATABASE {name} SET synchronous_commit = off")
        return name


_pools: dict[str, DatabasePool] = {}
"""By the name of their template."""


def _url(name: str) -> str:
    return POSTGRES.rsplit("/", 1)[0] + "/" + name


def _postgres(statement: str) -> None:
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(statement.encode())
