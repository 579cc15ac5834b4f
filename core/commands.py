"""What all commands share: exit statuses, arguments that say what is allowed, and errors without a traceback."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from datetime import datetime
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from objectstores.base import StoreError

FAILED = 1
USAGE = 2


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. It is one with Ctrl-C: drivers of databases end a statement under way for that, and for nothing else."""


def at_least_one(text: str) -> int:
    """An argument that is a whole number from 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not allowed: give a whole number of at least 1")
    return value


def seconds(text: str) -> float:
    """An argument that is a finite number of seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not allowed: give a finite number of seconds, 0 or more")
    return value


class FnloaderCommand(BaseCommand):
    """A command whose `run` returns the exit status (design.md, "Contracts").

    Interrupted it exits 130 (SIGTERM: 143); an error of a store or the database becomes one clear line and status 1.
    """

    # The whole system is checked by `check` and at the start of the site; a command wants its settings right and starts fast.
    requires_system_checks = ["fnloader"]

    def run(self, **options: Any) -> int:  # noqa: ANN401 - the options of a subclass
        """Does the work and returns the exit status."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401, ARG002 - Django's signature
        """Runs the command and turns what it returns or raises into an exit status."""
        status = self._status(options)
        if status:
            raise SystemExit(status)

    def usage(self, message: str) -> NoReturn:
        """Ends with status 2."""
        raise CommandError(message, returncode=USAGE)

    def confirmed(self, question: str, *, yes: bool) -> bool:
        """Whether to go on with what deletes or takes back: told so (`--yes`), or answered so at a terminal.

        With no terminal and no `--yes` nothing is done.
        """
        if yes:
            return True
        if sys.stdin is None or not sys.stdin.isatty():
            self.stderr.write(f"{question} Nothing was done: there is no terminal to ask at. Add --yes.")
            return False
        self.stdout.write(f"{question} [y/N] ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def _status(self, options: dict[str, Any]) -> int:
        previous = signal.signal(signal.SIGTERM, _terminate)
        try:
            return self.run(**options)
        except Terminated:
            self.stderr.write("Terminated.")
            return 143
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            return 130
        except StoreError as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(_explain(error)) from error
        finally:
            signal.signal(signal.SIGTERM, previous)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _explain(error: Exception) -> str:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    missing = ("no such table", "no such column", "does not exist", "doesn't exist", "ORA-00942")
    if isinstance(error, OperationalError | ProgrammingError) and any(word in text for word in missing):
        return f"The database is not migrated ({text}). Run `python manage.py migrate` and try again."
    return f"The database failed: {text}. Nothing half done was kept; check DATABASE_URL and the server, and try again."


__all__ = ["CommandError", "CommandParser", "FnloaderCommand", "Terminated", "at_least_one", "seconds"]


def database(text: str) -> str:
    """An argument that names a database of the settings."""
    if text not in settings.DATABASES:
        raise argparse.ArgumentTypeError(
            f"there is no database '{text}' here (known: {', '.join(settings.DATABASES)}); "
            f"set DATABASE_URL_{text.upper()} to have it"
        )
    return text


def moment(text: str) -> datetime:
    """An argument that is a date or a time; without an offset it is read in TIME_ZONE."""
    try:
        at = parse_datetime(text)
        day = None if at else parse_date(text)
    except ValueError:
        at = day = None
    if day:
        at = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - made aware below
    if not at:
        raise argparse.ArgumentTypeError(f"'{text}' is no time: give 2026-01-31 or 2026-01-31T18:25")
    return at if timezone.is_aware(at) else timezone.make_aware(at)
