"""A database that fails in the middle of what is written."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import OperationalError, connection

from tests.support.site import POSTGRES, Manage
from tests.support.waiting import until


@dataclass
class FailingWrite:
    """Lets so many writes pass, and refuses the next one."""

    passes: int
    statement: str = ""
    """The write that was refused."""

    def __call__(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:  # noqa: ANN401 - Django's signature
        """Called by Django for each statement."""
        if sql.startswith(("INSERT", "UPDATE", "DELETE")):
            self.passes -= 1
            if self.passes == -1:
                self.statement = sql
                raise OperationalError("the server closed the connection unexpectedly")
        return execute(sql, *arguments)


def each_failing_write(operation: Callable[[], object]) -> Iterator[str]:
    """Runs the operation again and again: its first write fails, then its second … Yields each write that failed.

    The last run, in which none fails, has no turn.
    """
    for passes in itertools.count():
        failing = FailingWrite(passes)
        try:
            with connection.execute_wrapper(failing):
                operation()
        except OperationalError:
            yield failing.statement
        else:
            assert not failing.statement, "the error was swallowed"
            return


def strike(manage: Manage, table: str) -> None:
    """PostgreSQL ends all connections, as when it is killed. SQLite has no process: the table is not there for a while."""
    if POSTGRES:
        manage.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return
    manage.rows(f"ALTER TABLE {table} RENAME TO hidden")
    time.sleep(0.3)
    manage.rows(f"ALTER TABLE hidden RENAME TO {table}")


@dataclass
class Restart:
    """PostgreSQL as when it is restarted: all connections to the site's database end, and none is accepted until it is back."""

    manage: Manage

    def down(self) -> None:
        """Returns when the last connection has ended."""
        with self._server() as server:
            server.execute(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false".encode())
            backends = f"FROM pg_stat_activity WHERE datname = '{self._name}'".encode()
            while server.execute(b"SELECT pg_terminate_backend(pid) " + backends).fetchall():
                time.sleep(0.02)

    def back(self) -> None:
        """Connections are accepted again."""
        with self._server() as server:
            server.execute(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true".encode())

    def in_the_middle(self, table: str, begin: Callable[[], subprocess.Popen[str]]) -> subprocess.Popen[str]:
        """Takes the database down once the process that `begin` starts, or asks for something, waits for that table."""
        holder = psycopg.connect(self.manage.environment["DATABASE_URL"])
        try:
            holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            process = begin()
            waiting = "SELECT 1 FROM pg_locks JOIN pg_class c ON c.oid = relation WHERE NOT granted AND relname = %s"
            until(lambda: self.manage.rows(waiting, table), f"somebody waits for {table}", process)
            self.down()
        finally:
            holder.close()
        return process

    @property
    def _name(self) -> str:
        return self.manage.environment["DATABASE_URL"].rpartition("/")[2]

    def _server(self) -> psycopg.Connection:
        return psycopg.connect(POSTGRES, autocommit=True)
