"""Reads settings from the environment, and collects what is wrong with them for the system checks.

A wrong value must become a message with a hint, never a traceback, so reading never raises: it records a `SettingsProblem`,
which `fnloader_site.checks` reports, and continues with a harmless value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.errors import ObsoleteHeaderDefect
from email.headerregistry import Address, HeaderRegistry
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ

from core.daily_hours import DailyHours
from fnloader_site.dotenv import parse as parse_dotenv

T = TypeVar("T")


@dataclass(frozen=True)
class SettingsProblem:
    """Something wrong with the environment."""

    id: str
    message: str
    hint: str


DRIVERS = {"mysql": ("MySQLdb", "mysqlclient"), "oracle": ("oracledb", "oracledb")}
"""What a database needs besides requirements.txt, by scheme: a module, and its package."""
FLAGS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


_ADDRESS_PART = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^;"])+')
"""What stands between semicolons, as in Outlook."""
_NAMED_ADDRESS = re.compile(r"[^<>@\"]*<([^<>]+)>")
_URL_SEPARATOR = re.compile(r"[,;\s]+(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]+")


class Environment:
    """Typed access to environment variables; each can also be in `.env`, or in a file named by `NAME_FILE`.

    An empty variable counts as unset. Relative paths start at `base`, whatever the current folder is.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.problems: list[SettingsProblem] = []
        path = Path(os.environ.get("FNLOADER_ENV_FILE", base / ".env"))
        if not path.is_file():
            return
        content = self._parse("ENV_FILE", path.read_bytes, b"", f"a readable file: {path}")
        dotenv = parse_dotenv(content)
        for number in dotenv.wrong_lines:
            self.add_problem(
                "E_ENV_FILE",
                f"Invalid line {number} of {path}: expected NAME=value",
                "Put a value with a quote, or with a space before a #, in straight quotes; begin a comment with #.",
            )
        for name, value in dotenv.values.items():
            os.environ.setdefault(name, value)

    def names(self, prefix: str) -> list[str]:
        """All variables with this prefix, `NAME_FILE` as NAME."""
        return sorted(name for name in {name.removesuffix("_FILE") for name in os.environ} if name.startswith(prefix))

    def text(self, name: str, default: str = "") -> str:
        """The variable as text, stripped."""

        # django-environ's FileAwareEnv keeps the line end of a file, and starts a relative NAME_FILE at the current folder.
        def parse() -> str:
            file = os.environ.get(f"{name}_FILE")
            value = (self.base / file).read_text("utf-8-sig") if file else os.environ.get(name, "")
            return value.strip() or default

        return self._parse(name, parse, default, "text, or a readable UTF-8 file")

    def url(self, name: str, example: str, *schemes: str) -> str:
        """A URL of one of these schemes, or empty for none."""

        def parse() -> str:
            value = self.text(name)
            parts = urlsplit(value)
            # A password with a plain "/" ends the host before it: redis-py would go to 127.0.0.1 without a word.
            no_host = parts.netloc and not parts.hostname and parts.scheme != "unix"
            if value and (
                parts.scheme not in schemes or not (parts.netloc or parts.path) or no_host or parts.port == 0
            ):
                raise ValueError(name)
            return value

        return self._parse(name, parse, "", f"a URL such as {example}")

    def path(self, name: str, default: str = "") -> str:
        """A path; a relative one starts at the folder of manage.py. Empty for none."""
        value = self.text(name, default)
        return str(self.base / Path(value).expanduser()) if value else ""

    def folders(self, name: str) -> list[str]:
        """Paths separated by `:`; relative ones as those of `path`."""
        folders = (folder.strip() for folder in self.text(name).split(":"))
        return [str(self.base / Path(folder).expanduser()) for folder in folders if folder]

    def export(self, *names: str) -> None:
        """Copies the content of `NAME_FILE` to NAME, for libraries that read the environment themselves."""
        for name in names:
            if f"{name}_FILE" in os.environ:
                os.environ[name] = self.text(name)

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """One of these words."""

        def parse() -> str:
            return allowed[allowed.index(self.text(name, default))]

        return self._parse(name, parse, default, f"one of {', '.join(allowed)}")

    def flag(self, name: str, *, default: bool) -> bool:
        """True for true, yes, on, 1; false for false, no, off, 0 (any case)."""
        return self._parse(name, lambda: FLAGS[(self.text(name) or str(default)).lower()], default, "on or off")

    def number(self, name: str, default: float, *, above: float) -> float:
        """A number greater than `above`."""

        def parse() -> float:
            value = float(self.text(name, str(default)))
            if not above < value < float("inf"):
                raise ValueError(name)
            return value

        return self._parse(name, parse, default, f"a number above {above:g}")

    def share(self, name: str, default: float) -> float:
        """A part of a whole, from 0 to 1."""

        def parse() -> float:
            value = float(self.text(name, str(default)))
            if not 0 <= value <= 1:
                raise ValueError(name)
            return value

        return self._parse(name, parse, default, "a number from 0 to 1")

    def hours(self, name: str) -> DailyHours:
        """Hours of the day, in TIME_ZONE; unset: all."""
        expected = "hours such as 19:00-06:00, or 19:00-06:00,sat,sun"
        return self._parse(name, lambda: DailyHours.parse(self.text(name)), DailyHours(), expected)

    def words(self, name: str, default: list[str]) -> list[str]:
        """A comma-separated list."""
        return [word.strip() for word in self.text(name, ",".join(default)).split(",") if word.strip()]

    def networks(self, name: str) -> list[IPv4Network | IPv6Network]:
        """Addresses and networks of the internet protocol, separated by commas."""
        return self._parse(
            name,
            lambda: list(map(ip_network, self.words(name, []))),
            [],
            "addresses or networks such as 10.0.0.5, 10.1.0.0/16",
        )

    def addresses(self, name: str) -> list[str]:
        """Mail addresses as people write them, without names: separated by commas or semicolons, `Name <address>` too."""

        def parse() -> list[str]:
            text = self.text(name).replace("\n", ";")
            return [
                address for part in _ADDRESS_PART.findall(text) if part.strip() for address in _addresses(part.strip())
            ]

        expected = (
            "mail addresses, separated by commas or semicolons; put a name that holds a comma in double quotes, or "
            "separate by semicolons"
        )
        return self._parse(name, parse, [], expected)

    def urls(self, name: str) -> list[str]:
        """URLs of any scheme, separated by commas or spaces; a comma within a URL stays."""

        def parse() -> list[str]:
            urls = [url.rstrip(",;") for url in _URL_SEPARATOR.split(self.text(name)) if url.rstrip(",;")]
            if not all(_URL.fullmatch(url) for url in urls):
                raise ValueError(name)
            return urls

        return self._parse(name, parse, [], "URLs such as slack://…, separated by commas or spaces")

    def email(self, name: str) -> dict[str, Any]:
        """Django's EMAIL_… settings from a URL; without one, no mail is sent."""
        disabled = {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}

        def parse() -> dict[str, Any]:
            value = self.text(name)
            scheme = urlsplit(value).scheme
            if value and (scheme not in environ.Env.EMAIL_SCHEMES or not urlsplit(value).hostname):
                raise ValueError(name)
            config = environ.Env.email_url_config(value) if value else disabled
            return {key: setting for key, setting in config.items() if key.startswith("EMAIL_")}

        expected = (
            "smtp://host:25, or with a login smtp+tls://user:password@host:587 (percent-encode special characters)"
        )
        return self._parse(name, parse, disabled, expected)

    def database(self, name: str, default: str = "") -> dict[str, Any]:
        """A database of Django from a URL; a relative SQLite path starts at the folder of manage.py."""
        dummy = {"ENGINE": "django.db.backends.dummy"}

        def parse() -> dict[str, Any]:
            url = self.text(name, default)
            scheme, _, rest = url.partition("://")
            # The library would warn of an unknown scheme, with the password.
            if scheme not in environ.Env.DB_SCHEMES or (scheme == "sqlite" and rest[:1] not in {"", "/", ":"}):
                raise ValueError(name)
            config: dict[str, Any] = environ.Env.db_url_config(url)
            if scheme == "sqlite" and config["NAME"] != ":memory:":
                config["NAME"] = str(self.base / config["NAME"])
            if not (config["NAME"] or config.get("OPTIONS")):
                raise ValueError(name)
            module, package = DRIVERS.get(scheme, ("", ""))
            if module and not find_spec(module):
                self.add_problem(
                    f"E_{name}", f"{name} needs the package {package}.", f"Run `.venv/bin/pip install {package}`."
                )
                return dummy
            return config

        expected = "a database URL such as postgres://user:password@host/name or sqlite:///db.sqlite3"
        return self._parse(name, parse, dummy, expected)

    def add_problem(self, name: str, message: str, hint: str) -> None:
        """Records a problem, with the id `fnloader.<name>`."""
        self.problems.append(SettingsProblem(f"fnloader.{name}", message, hint))

    def _parse(self, name: str, parse: Callable[[], T], default: T, expected: str) -> T:
        # The value is not repeated: it may be a secret.
        try:
            return parse()
        except (ValueError, KeyError, OSError):
            source = f"{name}_FILE" if f"{name}_FILE" in os.environ else name
            hint = f"Set {source} in the environment or in .env (docs/settings.md)."
            self.add_problem(f"E_{name}", f"Invalid {source}: expected {expected}", hint)
            return default


def _addresses(text: str) -> list[str]:
    """The addresses of a list that is separated by commas. Raises ValueError."""
    if named := _NAMED_ADDRESS.fullmatch(text):
        text = named[1]
    try:
        header: Any = HeaderRegistry()("to", text)
        found: tuple[Address, ...] = header.addresses
    except IndexError as error:  # the library's, for `a@`
        raise ValueError(text) from error
    wrong = [defect for defect in header.defects if not isinstance(defect, ObsoleteHeaderDefect)]
    if wrong or not found or not all(address.username and address.domain for address in found):
        raise ValueError(text)
    return [address.addr_spec for address in found]
