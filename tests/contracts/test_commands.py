"""What holds for every command of ours: help that starts, no SDK for it, and a clear word where there are no tables."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands

from tests.support.fork_server import ROOT
from tests.support.site import Manage

OURS = sorted(
    name for name, app in get_commands().items() if apps.is_installed(str(app)) and (ROOT / str(app)).is_dir()
)
CALLS = {
    "alarm": ("test",),
    "ingstat": ("plc",),
    "batch": ("list",),
    "fnload": ("http://127.0.0.1:1", "file:///tmp", "--once"),
    "feed": ("list",),
    "fnstatus": (),
    "fnprune": ("--dry-run",),
    "qcluster": (),
    "sample": (str(ROOT / "requirements.in"),),
    "serve": (),
}
SDKS = (
    "boto3",
    "botocore",
    "oci",
    "requests",
    "rich",
    "ijson",
    "sentry_sdk",
    "apprise",
    "whitenoise",
    "tenacity",
    "openpyxl",
)


def test_every_command_of_ours_is_tested_here() -> None:
    assert sorted(CALLS) == OURS


@pytest.mark.parametrize("name", OURS)
def test_its_help_starts_and_loads_no_sdk(name: str, manage: Manage) -> None:
    """All of a process's imports are in what `-X importtime` prints."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "manage.py"), name, "--help"],
        env=dict(manage.environment) | {"PATH": "/usr/bin:/bin", "SECRET_KEY": "x" * 50},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "exit status" in result.stdout or name == "batch"
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}
    assert "django.core.management" in loaded
    assert not loaded & set(SDKS)
    assert "django.contrib.auth.admin" not in loaded, "the admin's pages are not put together for a command"


@pytest.mark.parametrize("name", OURS)
def test_on_a_database_without_tables_it_says_migrate(name: str, manage: Manage, tmp_path: Path) -> None:
    result = manage(name, *CALLS[name], DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3", TIME_ZONE="UTC")
    assert (result.returncode, "Traceback" in result.stderr) == (1, False), result.stderr
    assert "manage.py migrate" in result.stderr


def test_a_database_that_never_answers_is_not_waited_for(manage: Manage) -> None:
    # A firewall that drops everything looks like this: connections that nobody takes up.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        url = f"postgres://u:p@127.0.0.1:{silent.getsockname()[1]}/name?connect_timeout=2"
        result = manage("ingstat", "plc", DATABASE_URL=url)
    assert (result.returncode, "Traceback" in result.stderr) == (1, False), result.stderr
    assert "timeout expired" in result.stderr
    assert "Check DATABASE_URL" in result.stderr
    shown = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS']['connect_timeout'])"
    assert manage("shell", "-v0", "-c", shown, DATABASE_URL="postgres://u:p@127.0.0.1/name").stdout == "10\n"


def test_a_database_that_can_not_be_opened_is_said_in_a_line(manage: Manage) -> None:
    result = manage("ingstat", "plc", DATABASE_URL="sqlite:////nowhere/at/all.sqlite3")
    assert (result.returncode, "Traceback" in result.stderr) == (1, False), result.stderr
    assert "Check DATABASE_URL" in result.stderr
