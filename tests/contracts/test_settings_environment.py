"""A wrong environment is a system check with an id and a hint: no traceback, and no secret in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fnloader_site.env import Environment
from tests.support.fork_server import ROOT
from tests.support.site import Manage

WRONG = {
    "DEBUG": "perhaps",
    "DB_POOLER": "perhaps",
    "FILES_FOR_GROUP": "perhaps",
    "DATABASE_URL": "nonsense-with-secret",
    "DATABASE_URL_OLD": "postgres://user:with-secret@host:port/name",
    "TIME_ZONE": "Europe",
    "SITE_URL": "https://[with-secret",
    "TRUSTED_PROXIES": "10.0.0.1/8",
    "ALLOW_LINK_LOCAL": "perhaps",
    "REDIS_URL": "redis://:/with-secret@broker:6379/0",
    "BATCH_STORE_URL": "fast-import-bucket-with-secret",
    "UPLOAD_HOURS": "with-secret",
    "UPLOAD_STOP_SHARE": "10",
    "FN4_AUTH": "with-secret",
    "FN4_AUTH_TB": "with-secret",
    "FN4_CA_BUNDLE": "/nowhere/ca.pem",
    "FN4_INSERT_DEADLINE": "0",
    "ALARM_MAIL": "with-secret",
    "ALARM_URLS": "with-secret",
    "OCI_AUTH": "with-secret",
    "OCI_ENDPOINT": "with-secret",
    "FN_SENTRY_URL": "https://with-secret",
    "SECRET_KEY_FILE": "/nowhere/key",
}


def test_every_wrong_variable_is_named_with_a_hint_and_no_value_is_repeated(manage: Manage) -> None:
    result = manage("check", **WRONG)
    assert result.returncode == 1
    for name in WRONG:
        assert f"(fnloader.E_{name.removesuffix('_FILE')})" in result.stderr, (name, result.stderr)
    assert result.stderr.count("HINT: ") >= len(WRONG)
    assert "Invalid DEBUG: expected on or off" in result.stderr
    assert "with-secret" not in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("setting", "mode"), [("", 0o600), ("on", 0o640)], ids=["owner", "group"])
def test_what_it_writes_is_for_its_owner(manage: Manage, tmp_path: Path, setting: str, mode: int) -> None:
    path = tmp_path / "new.sqlite3"
    said = manage(
        "shell",
        "-v0",
        "-c",
        "from django.db import connection as c; c.cursor().execute('CREATE TABLE t (x)')",
        DATABASE_URL=f"sqlite:///{path}",
        FILES_FOR_GROUP=setting,
    )
    assert said.returncode == 0, said.stderr
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    "words", [("ingstat", "plc"), ("fnload", "http://h", "file:///f"), ("migrate",), ("batch", "list")]
)
def test_no_command_begins_with_a_wrong_setting(manage: Manage, words: tuple[str, ...]) -> None:
    result = manage(*words, DATABASE_URL="oracles://user:with-secret@host/name", FNLOADER_ENV_FILE=os.devnull)
    assert (result.returncode, "Traceback" in result.stderr) == (1, False), result.stderr
    assert "(fnloader.E_DATABASE_URL)" in result.stderr
    assert "with-secret" not in result.stderr


def read(monkeypatch: pytest.MonkeyPatch, base: Path, **variables: str) -> Environment:
    monkeypatch.setenv("FNLOADER_ENV_FILE", str(base / "env"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Environment(base)


@pytest.mark.parametrize(
    "url",
    [
        "db.sqlite3",
        "sqlite://db.sqlite3",
        "postgres://",
        "postgres://host",
        "postgres://u:p@host:99999/name",
        "ftp://host/name",
        "://",
        "mysql://u:p@host/name",
    ],
)
def test_a_database_that_can_not_work_is_noted_and_not_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    monkeypatch.setitem(sys.modules, "MySQLdb", None)
    env = read(monkeypatch, tmp_path, DATABASE_URL=url)
    assert env.database("DATABASE_URL") == {"ENGINE": "django.db.backends.dummy"}
    assert [problem.id for problem in env.problems] == ["fnloader.E_DATABASE_URL"]


def test_a_database_without_its_driver_says_which_package_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "MySQLdb", None)
    env = read(monkeypatch, tmp_path, DATABASE_URL="mysql://u:p@host/name")
    env.database("DATABASE_URL")
    assert "pip install mysqlclient" in env.problems[0].hint


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("a@x.org, b@y.org", ["a@x.org", "b@y.org"]),
        ("a@x.org;b@y.org;", ["a@x.org", "b@y.org"]),
        ('"Doe; Jane" <j@x.org>, b@mailhost', ["j@x.org", "b@mailhost"]),
        ("Doe, Jane <j@x.org>; Müller, Max <m@y.org>", ["j@x.org", "m@y.org"]),
        ("J. Doe <j@x.org>", ["j@x.org"]),
        ("a@x.org\nb@y.org\n", ["a@x.org", "b@y.org"]),
        ("", []),
    ],
)
def test_mail_addresses_are_read_as_people_write_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, addresses: list[str]
) -> None:
    env = read(monkeypatch, tmp_path, SOME_MAIL=text)
    assert (env.addresses("SOME_MAIL"), env.problems) == (addresses, [])


@pytest.mark.parametrize(
    "text", ["jane", "a@", "@x", "a@x b@y", "Doe, Jane <j@x.org>, b@y.org", "a@x.org <", "a@x,jane"]
)
def test_mail_addresses_that_can_not_be_read_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    env = read(monkeypatch, tmp_path, SOME_MAIL=text)
    assert env.addresses("SOME_MAIL") == []
    assert "put a name that holds a comma in double quotes" in env.problems[0].message


def test_urls_are_separated_by_commas_or_spaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env = read(monkeypatch, tmp_path, SOME_URLS="tgram://a/b, mailtos://u:p@h?to=a,b\nslack://c", OTHER="slack")
    assert env.urls("SOME_URLS") == ["tgram://a/b", "mailtos://u:p@h?to=a,b", "slack://c"]
    assert (env.urls("OTHER"), [problem.id for problem in env.problems]) == ([], ["fnloader.E_OTHER"])


def test_an_alarm_url_that_apprise_does_not_know_is_a_check(manage: Manage) -> None:
    result = manage("check", ALARM_URLS="json://h/with-secret nonsense://with-secret")
    assert (result.returncode, "with-secret" in result.stderr) == (1, False)
    assert "URL 2 is not one that apprise knows" in result.stderr


def test_a_number_must_be_finite_and_above_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for wrong in ("0", "-1", "nan", "inf", "1e999", "two"):
        env = read(monkeypatch, tmp_path, SOME_SECONDS=wrong)
        assert env.number("SOME_SECONDS", 150, above=0) == 150
        assert "expected a number above 0" in env.problems[0].message, wrong
    env = read(monkeypatch, tmp_path, SOME_SECONDS=" 2.5 ")
    assert (env.number("SOME_SECONDS", 150, above=0), env.problems) == (2.5, [])


def test_a_secret_may_stand_in_a_file_and_a_dollar_is_a_dollar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("$from-the-file\n")
    env = read(monkeypatch, tmp_path, SOME_KEY_FILE="key", OTHER_KEY="$plain")
    assert (env.text("SOME_KEY"), env.text("OTHER_KEY"), env.problems) == ("$from-the-file", "$plain", [])
    env.export("SOME_KEY")
    assert os.environ.pop("SOME_KEY") == "$from-the-file", "where a library reads it itself"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env = read(monkeypatch, tmp_path, SOME_NAME=" ", SOME_FLAG="", SOME_LIST="", SOME_NUMBER="")
    assert env.text("SOME_NAME", "usual") == "usual"
    assert env.flag("SOME_FLAG", default=True) is True
    assert env.words("SOME_LIST", ["a", "b"]) == ["a", "b"]
    assert env.number("SOME_NUMBER", 3, above=0) == 3
    assert env.problems == []


def test_a_relative_path_starts_at_the_folder_of_manage_py(manage: Manage, tmp_path: Path) -> None:
    code = "from django.conf import settings; print(settings.DATABASES['default']['NAME']); print(settings.REPORTS_DIR)"
    variables = {
        "DATABASE_URL": "sqlite:///some/db.sqlite3",
        "REPORTS_DIR": "some/reports",
        "DJANGO_SETTINGS_MODULE": "fnloader_site.settings",
    }
    result = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "shell", "-v0", "-c", code],
        cwd=tmp_path,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    assert result.stdout.split() == [f"{ROOT}/some/db.sqlite3", f"{ROOT}/some/reports"], result.stderr


def test_further_databases_have_aliases_also_from_a_file(manage: Manage, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgres://u:p%40ss@db.example.org:6432/fn4")
    code = "from django.conf import settings as s; d = s.DATABASES; print(sorted(d), d['unittest_oracle']['PASSWORD'])"
    result = manage("shell", "-v0", "-c", code, DATABASE_URL_UNITTEST_ORACLE_FILE=str(tmp_path / "url"))
    assert result.stdout.strip() == "['default', 'unittest_oracle'] p@ss", result.stderr


def test_the_env_file_may_come_from_windows_or_a_shell(manage: Manage, tmp_path: Path) -> None:
    lines = (
        "# a comment",
        "export BATCH_STORE_URL=s3://from-the-env-file   # why",
        "  TIME_ZONE = 'Europe/London' ",
        'METRICS_TOKEN="a #\\"b\\\\ c"',
        "INGEST_LOG_GROUP=\u00a0a#b\u00a0",
        "ALARM_FROM='fn loader <a@example.org>' # sender",
        "",
    )
    content = "\ufeff" + "\r\n".join(lines)
    code = (
        "from django.conf import settings as s;"
        "print(s.BATCH_STORE_URL, s.TIME_ZONE, s.METRICS_TOKEN, s.INGEST_LOG_GROUP, s.DEFAULT_FROM_EMAIL, sep='|')"
    )
    expected = 's3://from-the-env-file|Europe/London|a #"b\\ c|a#b|fn loader <a@example.org>'
    for encoding in ("utf-8", "utf-16-le"):
        (tmp_path / "env").write_bytes(content.encode(encoding))
        result = manage("shell", "-v0", "-c", code, FNLOADER_ENV_FILE=str(tmp_path / "env"))
        assert result.stdout.strip() == expected, result.stderr


def test_a_wrong_line_of_the_env_file_is_named_by_its_number(manage: Manage, tmp_path: Path) -> None:
    wrong = (
        b"SECRET with-secret",
        b'TOKEN_ONE="with-secret',
        b'TOKEN_TWO="with"-secret',
        b"METRICS TOKEN=with-secret",
        b"with-secret",
        "TOKEN_THREE=\u201cwith-secret\u201d".encode(),
        b"TOKEN_FOUR=with-secret\xff",
        b"TOKEN_FIVE=with-secret\0",
    )
    (tmp_path / "env").write_bytes(b"HOST_NAME=x\n" + b"\n".join(wrong) + b"\nLOG_LEVEL=nonsense\n")
    result = manage("check", FNLOADER_ENV_FILE=str(tmp_path / "env"))
    assert (result.returncode, "Traceback" in result.stderr) == (1, False), result.stderr
    for number in range(2, 2 + len(wrong)):
        assert f"(fnloader.E_ENV_FILE) Invalid line {number} of " in result.stderr
    assert "(fnloader.E_LOG_LEVEL)" in result.stderr, "the other lines are read"
    assert "secret" not in (result.stderr + result.stdout).replace("E_SECRET_KEY", "").replace("SECRET_KEY", "")


def test_a_folder_as_env_file_and_a_file_of_a_secret_with_a_byte_order_mark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfsecret\r\n")
    env = read(monkeypatch, tmp_path, SOME_KEY_FILE="key")
    assert (env.text("SOME_KEY"), env.problems) == ("secret", [])


def test_the_env_file_gives_what_the_environment_does_not(manage: Manage, tmp_path: Path) -> None:
    (tmp_path / "env").write_text(
        "BATCH_STORE_URL=s3://from-the-env-file\nHOST_NAME=not-taken\nTIME_ZONE='Europe/London'\n"
    )
    code = "from django.conf import settings as s; print(s.BATCH_STORE_URL, s.HOST_NAME, s.TIME_ZONE)"
    result = manage("shell", "-v0", "-c", code, FNLOADER_ENV_FILE=str(tmp_path / "env"))
    assert result.stdout.strip() == "s3://from-the-env-file test-host Europe/London", result.stderr
