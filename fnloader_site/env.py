"""Reads settings from the environment, and keeps what is wrong with them for the system checks.

A wrong value must become a message with a way out, never a traceback: so reading never raises. It notes a `Problem`,
which `fnloader_site.checks` reports under its id, and goes on with a value that can do no harm.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import environ

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the environment."""

    id: str
    message: str
    hint: str


class Environment:
    """Typed access to environment variables; each may also stand in `.env`, or in a file named by `NAME_FILE`."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.problems: list[Problem] = []
        self._env = environ.FileAwareEnv()
        dotenv = Path(os.environ.get("FNLOADER_ENV_FILE", base / ".env"))
        if dotenv.is_file():
            self._env.read_env(str(dotenv))

    def text(self, name: str, default: str = "") -> str:
        """The variable as text, stripped."""
        return self._read(name, lambda: str(self._env.str(name, default)).strip(), default, "a text")

    def flag(self, name: str, *, default: bool) -> bool:
        """True for true, yes, on, 1; false for false, no, off, 0 (any case)."""
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        return self._read(name, lambda: words[(self.text(name) or str(default)).lower()], default, "on or off")

    def number(self, name: str, default: float, *, above: float) -> float:
        """A number greater than `above`."""

        def read() -> float:
            value = float(self.text(name) or default)
            if not above < value < float("inf"):
                raise ValueError(name)
            return value

        return self._read(name, read, default, f"a number above {above:g}")

    def words(self, name: str, default: list[str]) -> list[str]:
        """A comma-separated list."""
        return [word.strip() for word in self.text(name, ",".join(default)).split(",") if word.strip()]

    def database(self, name: str, default: str = "") -> dict[str, Any]:
        """A database of Django from a URL; a relative SQLite path starts at the folder of manage.py."""

        def read() -> dict[str, Any]:
            config: dict[str, Any] = self._env.db_url_config(self.text(name) or default)
            if not config.get("ENGINE"):
                raise ValueError(name)
            if config["ENGINE"].endswith("sqlite3") and config["NAME"] != ":memory:":
                config["NAME"] = str(self.base / config["NAME"])
            return config

        dummy = {"ENGINE": "django.db.backends.dummy"}
        return self._read(
            name, read, dummy, "a database URL such as postgres://user:password@host/name or sqlite:///db.sqlite3"
        )

    def require(self, name: str, message: str, hint: str) -> None:
        """Notes that something is missing."""
        self.problems.append(Problem(f"fnloader.{name}", message, hint))

    def _read(self, name: str, read: Callable[[], T], default: T, wanted: str) -> T:
        # The value itself is not repeated: it may be a secret.
        try:
            return read()
        except (ValueError, KeyError, OSError, environ.ImproperlyConfigured):
            where = f"{name} (or the file that {name}_FILE names)" if f"{name}_FILE" in os.environ else name
            self.require(f"E_{name}", f"{where} can't be understood.", f"It must be {wanted}.")
            return default
