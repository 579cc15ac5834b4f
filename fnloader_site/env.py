"""Reads settings from the environment, and keeps what is wrong with them for the system checks.

A wrong value must become a message with a way out, never a traceback: so reading never raises. It notes a `Problem`,
which `fnloader_site.checks` reports under its id, and goes on with a value that can do no harm.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the environment."""

    id: str
    message: str
    hint: str


DRIVERS = {"mysql": ("MySQLdb", "mysqlclient"), "oracle": ("oracledb", "oracledb")}
"""What a database needs besides requirements.txt, by scheme: a module, and the package that brings it."""


class Environment:
    """Typed access to environment variables; each may also stand in `.env`, or in a file named by `NAME_FILE`.

    An empty variable counts as unset. Relative paths start at `base`, wherever the program is called from.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.problems: list[Problem] = []
        dotenv = Path(os.environ.get("FNLOADER_ENV_FILE", base / ".env"))
        if dotenv.is_file():
            self._read(
                "ENV_FILE", lambda: environ.Env.read_env(StringIO(dotenv.read_text())), None, f"UTF-8 text: {dotenv}"
            )

    def names(self, prefix: str) -> list[str]:
        """Every variable that is set and begins so, `NAME_FILE` as NAME."""
        return sorted(name for name in {name.removesuffix("_FILE") for name in os.environ} if name.startswith(prefix))

    def text(self, name: str, default: str = "") -> str:
        """The variable as text, stripped."""

        def read() -> str:
            file = os.environ.get(f"{name}_FILE")
            value = (self.base / file).read_text() if file else os.environ.get(name, "")
            return value.strip() or default

        return self._read(name, read, default, "a text, or a readable file of UTF-8 text")

    def url(self, name: str, example: str, *schemes: str) -> str:
        """A URL of one of these schemes, or empty for none."""

        def read() -> str:
            value = self.text(name)
            parts = urlsplit(value)
            if value and (parts.scheme not in schemes or not (parts.netloc or parts.path) or parts.port == 0):
                raise ValueError(name)
            return value

        return self._read(name, read, "", f"a URL such as {example}")

    def path(self, name: str, default: str = "") -> str:
        """A path; a relative one starts at the folder of manage.py. Empty for none."""
        value = self.text(name, default)
        return str(self.base / Path(value).expanduser()) if value else ""

    def export(self, *names: str) -> None:
        """Puts what stands in `NAME_FILE` into NAME, for libraries that read the environment themselves."""
        for name in names:
            if f"{name}_FILE" in os.environ:
                os.environ[name] = self.text(name)

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """One of a few words."""
        value = self.text(name, default)
        if value not in allowed:
            self.require(f"E_{name}", f"{name} can't be understood.", f"It must be one of {', '.join(allowed)}.")
        return value if value in allowed else default

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
            value = float(self.text(name, str(default)))
            if not above < value < float("inf"):
                raise ValueError(name)
            return value

        return self._read(name, read, default, f"a number above {above:g}")

    def words(self, name: str, default: list[str]) -> list[str]:
        """A comma-separated list."""
        return [word.strip() for word in self.text(name, ",".join(default)).split(",") if word.strip()]

    def email(self, name: str) -> dict[str, Any]:
        """Django's EMAIL_… settings from a URL; without one, nothing is ever sent."""
        nothing = {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
        wanted = "smtp://host:25, or with a login smtp+tls://user:password@host:587 (special letters percent-encoded)"

        def read() -> dict[str, Any]:
            value = self.text(name)
            scheme = urlsplit(value).scheme
            if value and (scheme not in environ.Env.EMAIL_SCHEMES or not urlsplit(value).hostname):
                raise ValueError(name)
            found = environ.Env.email_url_config(value) if value else nothing
            return {key: setting for key, setting in found.items() if key.startswith("EMAIL_")}

        return self._read(name, read, nothing, wanted)

    def database(self, name: str, default: str = "") -> dict[str, Any]:
        """A database of Django from a URL; a relative SQLite path starts at the folder of manage.py."""
        dummy = {"ENGINE": "django.db.backends.dummy"}
        wanted = "a database URL such as postgres://user:password@host/name or sqlite:///db.sqlite3"
        return self._read(name, lambda: self._database(name, self.text(name, default)), dummy, wanted)

    def _database(self, name: str, url: str) -> dict[str, Any]:
        scheme, _, rest = url.partition("://")
        # An unknown scheme would be warned of by the library, with the password.
        if scheme not in environ.Env.DB_SCHEMES or (scheme == "sqlite" and rest[:1] not in {"", "/", ":"}):
            raise ValueError(name)
        config: dict[str, Any] = environ.Env.db_url_config(url)
        if scheme == "sqlite" and config["NAME"] != ":memory:":
            config["NAME"] = str(self.base / config["NAME"])
        if not (config["NAME"] or config.get("OPTIONS")):
            raise ValueError(name)
        module, package = DRIVERS.get(scheme, ("", ""))
        if module and not find_spec(module):
            self.require(f"E_{name}", f"{name} needs the package {package}.", f"Run `.venv/bin/pip install {package}`.")
            return {"ENGINE": "django.db.backends.dummy"}
        return config

    def require(self, name: str, message: str, hint: str) -> None:
        """Notes that something is missing."""
        self.problems.append(Problem(f"fnloader.{name}", message, hint))

    def _read(self, name: str, read: Callable[[], T], default: T, wanted: str) -> T:
        # The value itself is not repeated: it may be a secret.
        try:
            return read()
        except (ValueError, KeyError, OSError):
            where = f"{name} (or the file that {name}_FILE names)" if f"{name}_FILE" in os.environ else name
            self.require(f"E_{name}", f"{where} can't be understood.", f"It must be {wanted}.")
            return default
