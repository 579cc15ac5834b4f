"""What all commands share: exit statuses, argument types with clear messages, and errors without a traceback."""

from __future__ import annotations

import argparse
import errno
import math
import signal
import sys
from datetime import datetime
from tempfile import gettempdir
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError, connection
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from core.formatting import first_line
from core.output import OutputClosed, PrintableOutput
from objectstores.base import StoreError

__all__ = [
    "FAILED",
    "USAGE",
    "CommandError",
    "CommandParser",
    "FnloaderCommand",
    "Terminated",
    "at_least_one",
    "database",
    "moment",
    "seconds",
]

FAILED = 1
USAGE = 2
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. A KeyboardInterrupt, because database drivers interrupt a running statement only for that."""


class FnloaderCommand(BaseCommand):
    """A command whose `run` returns the exit status (design.md, "Contracts").

    Interrupted it exits 130 (SIGTERM: 143); an error of a store or the database becomes one clear line and status 1.
    """

    # `check` and the start of the site check the whole system; a command checks the settings only, to start fast.
    requires_system_checks = ["fnloader"]

    stdout: PrintableOutput
    stderr: PrintableOutput

    def run(self, **options: Any) -> int:  # noqa: ANN401 - the options of a subclass
        """Does the work and returns the exit status."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401, ARG002 - Django's signature
        """Runs the command and turns what it returns or raises into an exit status."""

        def terminate(_number: int, _frame: FrameType | None) -> None:
            raise Terminated

        style = self.stderr.style_func
        # Here, as Django wraps the streams of `call_command` after the command is made.
        self.stdout, self.stderr = (PrintableOutput(vars(wrapper)["_out"]) for wrapper in (self.stdout, self.stderr))
        self.stderr.style_func = style
        self.stderr.ends_its_command = False
        previous = signal.signal(signal.SIGTERM, terminate)
        try:
            status = self._status(options)
            self.stdout.flush()
        except OutputClosed as closed:
            status = closed.status
        finally:
            signal.signal(signal.SIGTERM, previous)
        if self.stdout.lost and status != OutputClosed.status:
            self.stdout.discard()
            self.stderr.write(f"The output could not be written: {self.stdout.lost[0].strerror}. All else was done.")
            status = status or FAILED
        if status:
            raise SystemExit(status)

    def _status(self, options: dict[str, Any]) -> int:
        try:
            return self.run(**options)
        except OutputClosed:
            raise
        except Terminated:
            self.stderr.write("Terminated.")
            return 143
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            return 130
        except StoreError as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, InterfaceError) as error:
            text = first_line(error)
            missing = ("no such table", "no such column", "does not exist", "doesn't exist", "ORA-00942")
            if isinstance(error, OperationalError | ProgrammingError) and any(word in text for word in missing):
                raise CommandError(f"Database not migrated ({text}). Run `python manage.py migrate`.") from error
            raise CommandError(
                f"Database error: {text}. No partial changes were saved. Check DATABASE_URL and the server."
            ) from error
        except OSError as error:
            text = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
            if error.errno in DISK_FULL and not error.filename:
                text = f"{error.strerror}, for a temporary file in {gettempdir()} (TMPDIR names another folder)"
            raise CommandError(f"{text}. What was done before stands.") from error

    def require_migrations(self) -> None:
        """Ends with status 1 if a migration is missing: a program that goes on would fail again and again."""
        from django.db.migrations.executor import MigrationExecutor

        executor = MigrationExecutor(connection)
        missing = [migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
        if missing:
            what = f"missing: {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
            raise CommandError(f"Database not migrated ({what}). Run `python manage.py migrate`.")

    def usage(self, message: str) -> NoReturn:
        """Ends with status 2."""
        raise CommandError(message, returncode=USAGE)

    def confirmed(self, question: str, *, yes: bool) -> bool:
        """Whether the user agrees, by `--yes` or at the terminal. Without either the answer is no."""
        if yes:
            return True
        if sys.stdin is None or not sys.stdin.isatty():
            self.stderr.write(f"{question} Nothing changed: no terminal to confirm on. Add --yes.")
            return False
        self.stdout.write(f"{question} [y/N] ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}


def at_least_one(text: str) -> int:
    """An argument that is a whole number from 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"invalid number '{text}': expected a whole number of at least 1")
    return value


def seconds(text: str) -> float:
    """An argument that is a finite number of seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"invalid number '{text}': expected a finite number of seconds, 0 or more")
    return value


def database(text: str) -> str:
    """An argument that names a database of the settings."""
    if text not in settings.DATABASES:
        raise argparse.ArgumentTypeError(
            f"unknown database '{text}' (known: {', '.join(settings.DATABASES)}); set DATABASE_URL_{text.upper()} to add it"
        )
    return text


def moment(text: str) -> datetime:
    """An argument that is a date or a time; without an offset it is read in TIME_ZONE."""
    try:
        when = parse_datetime(text)
        day = None if when else parse_date(text)
    except ValueError:
        when = day = None
    if day:
        when = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - made aware below
    if not when:
        raise argparse.ArgumentTypeError(f"'{text}' is not a valid time; use 2026-01-31 or 2026-01-31T18:25")
    return when if timezone.is_aware(when) else timezone.make_aware(when)
