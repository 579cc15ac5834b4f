"""A production site: what the documented settings turn on, and what it refuses to start without."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.support.fork_server import ROOT
from tests.support.site import POSTGRES, Manage

PRODUCTION = {
    "FNLOADER_ENV_FILE": os.devnull,
    "SECRET_KEY": "9Zk!mPw3x-Qv7rT_bN5sYcL8dH2jG6fA4eU1iO0pXqWzKtRnMv",
    "SITE_URL": "https://fnloader.example.org",
    "DEBUG": "off",
}


def test_the_documented_settings_leave_nothing_for_check_deploy_to_say(manage: Manage) -> None:
    result = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr


def test_an_https_site_url_turns_on_what_https_needs(manage: Manage) -> None:
    names = (
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "SESSION_COOKIE_SECURE",
        "CSRF_COOKIE_SECURE",
        "SECURE_SSL_REDIRECT",
        "SECURE_HSTS_SECONDS",
        "DEBUG",
    )
    code = f"import json; from django.conf import settings as s; print(json.dumps([getattr(s, n) for n in {names}]))"
    result = manage("shell", "-v0", "-c", code, **PRODUCTION)
    assert json.loads(result.stdout) == [
        ["fnloader.example.org", "localhost", "127.0.0.1", "[::1]"],
        ["https://fnloader.example.org"],
        True,
        True,
        True,
        365 * 24 * 3600,
        False,
    ]
    plain = manage("shell", "-v0", "-c", code, **PRODUCTION | {"SITE_URL": ""})
    assert json.loads(plain.stdout) == [["localhost", "127.0.0.1", "[::1]"], [], False, False, False, 0, False]


def test_without_a_secret_key_nothing_starts_unless_it_is_for_debugging(manage: Manage) -> None:
    without = PRODUCTION | {"SECRET_KEY": ""}
    for words in (("ingstat", "plc"), ("migrate", "--plan"), ("runserver", "--noreload", "127.0.0.1:0")):
        result = manage(*words, **without)
        assert (result.returncode, "fnloader.E_SECRET_KEY" in result.stderr) == (1, True), (words, result.stderr)
        assert "make .env" in result.stderr
    site = subprocess.run(
        [sys.executable, "-c", "import fnloader_site.wsgi"],
        cwd=ROOT,
        env=os.environ | manage.environment | without | {"DJANGO_SETTINGS_MODULE": "fnloader_site.settings"},
        capture_output=True,
        text=True,
    )
    assert (site.returncode, "fnloader.E_SECRET_KEY" in site.stderr, "Traceback" in site.stderr) == (1, True, False)
    assert manage("check", **without | {"DEBUG": "on"}).returncode == 0


def test_sqlite_is_set_up_for_web_jobs_and_commands_at_once(manage: Manage) -> None:
    if POSTGRES:
        manage.environment["DATABASE_URL"] = "sqlite://:memory:"
    code = (
        "from django.db import connection as c\n"
        "ask = lambda name: c.cursor().execute(f'PRAGMA {name}').fetchone()[0]\n"
        "print(ask('journal_mode'), ask('synchronous'), ask('busy_timeout'), ask('foreign_keys'), c.transaction_mode)"
    )
    result = manage("shell", "-v0", "-c", code)
    journal = "memory" if POSTGRES else "wal"
    assert result.stdout.split() == [journal, "2", "20000", "1", "IMMEDIATE"], result.stderr
