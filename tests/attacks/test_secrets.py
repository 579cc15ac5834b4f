"""Secrets come out nowhere: one of each kind is planted, in use, and looked for in all that a day brings forth."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta
from sandbox.process import descendants
from sandbox.s3 import S3Sandbox
from tests.support.echo import EchoRedis, EchoServer, EchoSmtp
from tests.support.feeding import LENGTH, Feeding
from tests.support.jobs import Jobs
from tests.support.site import POSTGRES, Manage
from tests.support.tls_front import TlsFront
from tests.support.waiting import stop, until

KINDS = (
    "secret-key",
    "database",
    "other-database",
    "redis",
    "aws-id",
    "aws-secret",
    "aws-token",
    "oci-pass-phrase",
    "fn4",
    "typed-into-url",
    "webhook-path",
    "webhook-query",
    "chat",
    "ping",
    "mail",
    "sentry",
    "metrics",
    "login",
)
AWAY = "127.0.0.1:1"


def secret(kind: str) -> str:
    """A marker that is found in whatever holds a half of it."""
    return "zq" + hashlib.sha256(kind.encode()).hexdigest()[:30]


def planted() -> dict[str, str]:
    """What is looked for: each marker's halves, plain and as Basic authentication sends it."""
    found: dict[str, str] = {}
    for kind in KINDS:
        value = secret(kind)
        found |= {f"{kind}, begin": value[:14], f"{kind}, end": value[-14:]}
    found["fn4, encoded"] = b64encode(f"loader:{secret('fn4')}".encode()).decode()[12:40]
    found["mail, encoded"] = b64encode(f"\0mailer\0{secret('mail')}".encode()).decode()[12:40]
    return found


class Search:
    """Everything that came out, and what of it must not have."""

    def __init__(self) -> None:
        self.looked_for, self.characters = planted(), 0

    def look(self, text: str, where: object) -> None:
        """Fails if any secret is in the text."""
        self.characters += len(text)
        for name, value in self.looked_for.items():
            at = text.find(value)
            assert at < 0, f"{name} in {where}: …{text[max(0, at - 300) : at + 60]}"

    def run(self, manage: Manage, *words: str, **environment: str) -> str:
        """Runs a command, looks its output through, and returns it."""
        result = manage(*words, **environment)
        text = result.stdout + result.stderr
        self.look(text, " ".join(words))
        return text

    def look_at_rows(self, manage: Manage) -> None:
        """Every column of every table."""
        if POSTGRES:
            names = manage.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        else:
            names = manage.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
            file = Path(manage.environment["DATABASE_URL"].removeprefix("sqlite:///"))
            self.look(file.read_bytes().decode("latin-1"), file)  # what was deleted, too
        assert len(names) > 20
        for (name,) in names:
            self.look(repr(manage.rows(f'SELECT * FROM "{name}"')), f"table {name}")

    def look_at_files(self, folder: Path) -> None:
        """Whatever was written below the folder, but for what this test wrote there."""
        for file in folder.rglob("*"):
            if file.is_file() and "planted" not in file.parts and not file.name.startswith("db.sqlite3"):
                self.look(file.read_bytes().decode("latin-1"), file)

    def look_at_processes(self, *pids: int) -> None:
        """Command lines and titles of these processes and of all that they started."""
        for pid in (one for parent in pids for one in (parent, *descendants(parent))):
            with suppress(OSError):
                for name in ("cmdline", "comm"):
                    self.look(Path(f"/proc/{pid}/{name}").read_bytes().decode("latin-1"), f"{name} of {pid}")


@pytest.fixture
def search() -> Iterator[Search]:
    one = Search()
    yield one
    assert one.characters, "nothing was looked at"


@pytest.fixture
def settings_with_secrets(manage: Manage) -> Manage:
    """A site in whose settings each secret stands; nothing listens where they lead."""
    environment = manage.environment
    if POSTGRES:
        # The test server trusts everybody: the password is in use, and no error.
        environment["DATABASE_URL"] = re.sub(
            r"//([^@:]+)@", rf"//\1:{secret('database')}@", environment["DATABASE_URL"]
        )
    environment |= {
        "SECRET_KEY": secret("secret-key") * 2,
        "DATABASE_URL_OTHER": f"postgres://fnloader:{secret('other-database')}@{AWAY}/x",
        "REDIS_URL": "",
        "LOG_LEVEL": "DEBUG",
        "AWS_ACCESS_KEY_ID": secret("aws-id"),
        "AWS_SECRET_ACCESS_KEY": secret("aws-secret"),
        "AWS_SESSION_TOKEN": secret("aws-token"),
        "AWS_REGION": "us-east-1",
        "FN4_AUTH": f"loader:{secret('fn4')}",
        "ALARM_WEBHOOK_URL": f"http://{AWAY}/hooks/{secret('webhook-path')}?token={secret('webhook-query')}",
        "ALARM_URLS": f"json://user:{secret('chat')}@{AWAY}/{secret('chat')}",
        "ALARM_PING_URL": f"http://{AWAY}/{secret('ping')}",
        "ALARM_MAIL": "ops@example.org",
        "EMAIL_URL": f"smtp://mailer:{secret('mail')}@{AWAY}",
        "METRICS_TOKEN": secret("metrics"),
    }
    return manage


@pytest.fixture
def secretive(feeding: Feeding, settings_with_secrets: Manage, tmp_path: Path) -> Iterator[Feeding]:
    """The same with a server behind a password, and an OCI key with a pass phrase; a batch folder."""
    folder = tmp_path / "planted"
    folder.mkdir()
    environment = settings_with_secrets.environment
    environment |= {
        "OCI_CONFIG_FILE": str(encrypted_key(Path(environment["OCI_CONFIG_FILE"]), folder)),
        "BATCH_STORE_URL": (tmp_path / "bucket").as_uri(),
    }
    (tmp_path / "bucket").mkdir()
    records = tmp_path / "records"
    records.mkdir()
    for number in range(3):
        (records / f"2026.{number}.xml").write_text("<record/>")
    with Fn4Sandbox(LENGTH, auth=f"loader:{secret('fn4')}") as server:
        feeding.fn4 = server
        yield feeding


def encrypted_key(config: Path, folder: Path) -> Path:
    """A copy of an OCI configuration whose key needs a pass phrase."""
    text = config.read_text().partition("[TOKEN]")[0]
    key = re.search(r"key_file ?= ?(.*)", text)
    assert key
    pem = load_pem_private_key(Path(key[1]).read_bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(secret("oci-pass-phrase").encode())
    )
    (folder / "key.pem").write_bytes(pem)
    copy = folder / "config"
    copy.write_text(
        text.replace(key[0], f"key_file={folder / 'key.pem'}") + f"\npass_phrase={secret('oci-pass-phrase')}\n"
    )
    return copy


SHOW = (
    ("check",),
    ("fnstatus",),
    ("fnstatus", "--json"),
    ("feed", "list"),
    ("feed", "show", "tb", "--json"),
    ("batch", "list"),
    ("batch", "show", "plc"),
    ("batch", "export"),
)
"""Commands that show what is stored."""
ASK = (
    ("feed", "test", "tb"),
    ("feed", "reconcile", "tb"),
    ("batch", "objects", "plc"),
    ("batch", "upload", "plc"),
    ("ingstat", "plc", "--sleep", "0.01"),
    ("alarm", "test"),
    ("fnstatus", "--alarm"),
)
"""Commands that ask a store, a server, or a receiver of alarms."""
MORE = (
    ("check", "--deploy"),
    ("feed", "show", "tb"),
    ("feed", "reconcile", "tb", "--json"),
    ("feed", "reconcile", "tb", "--sequences"),
    ("ingstat", "plc", "--json", "--sleep", "0.01"),
    ("batch", "clear", "plc", "--yes"),
    ("fnprune", "--dry-run"),
)
READ_LOG = """
from datetime import UTC, datetime
from batches.ingest_log.cloudwatch import LogReadError, read_events
from batches.ingest_log.events import EventStore
now = datetime.now(UTC)
try:
    list(read_events(EventStore(), "/aws/lambda/x", now, now))
except LogReadError as error:
    print(error)
"""
"""As the log of an ingest is read that ended with errors."""


def sequences(feeding: Feeding) -> dict[str, str]:
    """A piece of each sequence that is not among the first 128 characters of its file."""
    return {f"sequence of {name}": text[300:330] for name, text in feeding.sent.items()}


@pytest.mark.parametrize("log", ["text", "json"])
def test_a_day_on_which_all_is_well_says_none(secretive: Feeding, search: Search, tmp_path: Path, log: str) -> None:
    manage = secretive.manage
    manage.environment["LOG_FORMAT"] = log
    secretive.put_samples("a", "b")
    secretive.put("bad.fasta", b">GPAS_SP3|bad\n" + b"ACGT" * 40 + b"CAGTCCATTGCAAGGCTTAACCGGATATCC" + b"!" * 410)
    search.looked_for |= sequences(secretive) | {"sequence of bad": "CAGTCCATTGCAAGGCTTAACCGGATATCC"}
    store = secretive.oci.url(secretive.bucket)
    search.run(manage, "feed", "add", "tb", secretive.fn4.url, store, "--scheduled")
    loaded = search.run(manage, "fnload", secretive.fn4.url, store, "--once", "--json")
    secretive.assert_every_sample_is_in_once()
    assert '"inserted": 2' in loaded
    search.run(manage, "batch", "add", "plc", str(tmp_path / "records"))
    for words in (*ASK, *MORE, *SHOW):
        search.run(manage, *words)
    search.look_at_rows(manage)
    search.look_at_files(tmp_path)


@pytest.fixture
def begun(secretive: Feeding, search: Search, tmp_path: Path) -> Feeding:
    """With files in the bucket, a feed and a batch."""
    secretive.put_samples("a", "b")
    search.looked_for |= sequences(secretive)
    search.run(secretive.manage, "feed", "add", "tb", secretive.fn4.url, secretive.oci.url(secretive.bucket))
    search.run(secretive.manage, "batch", "add", "plc", str(tmp_path / "records"))
    return secretive


@pytest.mark.parametrize(("status", "log"), [(200, "text"), (401, "json"), (403, "text"), (500, "json")])
def test_peers_that_repeat_what_they_were_sent_bring_none_out(
    begun: Feeding, search: Search, tmp_path: Path, status: int, log: str
) -> None:
    manage, echo, smtp = begun.manage, EchoServer(status), EchoSmtp()
    manage.environment |= {
        "LOG_FORMAT": log,
        "OCI_ENDPOINT": echo.endpoint,
        "AWS_ENDPOINT_URL_S3": echo.endpoint,
        "AWS_ENDPOINT_URL_LOGS": echo.endpoint,
        "BATCH_STORE_URL": "s3://bucket",
        "EMAIL_URL": manage.environment["EMAIL_URL"].replace(AWAY, smtp.endpoint.removeprefix("http://")),
        **{
            name: manage.environment[name].replace(AWAY, echo.endpoint.removeprefix("http://"))
            for name in ("ALARM_WEBHOOK_URL", "ALARM_PING_URL", "ALARM_URLS")
        },
    }
    folder = tmp_path / "planted" / "files"
    folder.mkdir()
    (folder / "c.fasta").write_bytes(fasta("c", begun.sent["a"]))
    files = folder.as_uri()
    search.run(manage, "feed", "add", "echo", echo.endpoint, files)
    search.run(manage, "feed", "test", "echo")
    search.run(manage, "fnload", echo.endpoint, files, "--once")
    search.run(manage, "fnload", begun.fn4.url, begun.oci.url(begun.bucket), "--once")
    assert "log group" in search.run(manage, "shell", "-v0", "-c", READ_LOG)
    for words in (*ASK, *SHOW):
        search.run(manage, *words)
    for kind in ("aws-id", "aws-token", "webhook-path", "webhook-query", "chat", "ping"):
        assert secret(kind) in echo.got, f"{kind} was never sent"
    assert search.looked_for["fn4, encoded"] in echo.got
    assert search.looked_for["mail, encoded"] in smtp.got
    search.look_at_rows(manage)
    search.look_at_files(tmp_path)


@pytest.mark.parametrize("trouble", ["away", "wrong", "tls"])
def test_peers_that_are_away_refuse_or_are_not_trusted_bring_none_out(
    begun: Feeding, search: Search, tmp_path: Path, s3: S3Sandbox, trouble: str
) -> None:
    manage, url = begun.manage, begun.fn4.url
    with TlsFront(url, tmp_path / "planted") as front:
        endpoint = {"away": f"http://{AWAY}", "wrong": s3.endpoint, "tls": front.url}[trouble]
        manage.environment |= {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ENDPOINT_URL_LOGS": endpoint,
            "BATCH_STORE_URL": "s3://b",
        }
        if trouble == "wrong":
            manage.environment |= {"FN4_AUTH": f"loader:{secret('login')}", "OCI_CONFIG_PROFILE": "NONE"}
        else:
            manage.environment["OCI_ENDPOINT"] = endpoint
        if trouble == "away":
            begun.fn4.stop()
        servers = [front.url, url.replace("http:", "https:")] if trouble == "tls" else [url]
        for server in servers:
            search.run(manage, "fnload", server, begun.oci.url(begun.bucket), "--once")
        assert search.run(manage, "shell", "-v0", "-c", READ_LOG)
        for words in (*ASK, *SHOW):
            search.run(manage, *words)
    search.look_at_rows(manage)
    search.look_at_files(tmp_path)


PAGES = """
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from tests.support.addresses import addresses
user, _ = User.objects.get_or_create(username="boss", is_staff=True, is_superuser=True)
client = Client(raise_request_exception=False, HTTP_HOST="localhost")
client.force_login(user)
def show(path, response):
    body = b"".join(response.streaming_content if response.streaming else [response.content])
    print(path, response.status_code, body.decode(errors="replace"))
paths = list(dict.fromkeys(addresses(2)))
for statement in sys.argv[-2]:
    connection.cursor().execute(statement)
for path in paths:
    if path != "/logout/":
        show(path, client.get(path))
for path in ("/feeds/tb/test/", "/feeds/tb/load/", "/feeds/tb/reconcile/", "/batches/plc/check/", "/batches/plc/clear/"):
    show(path, client.post(path, {"confirm": "on"}))
show("/login/", Client(HTTP_HOST="localhost").post("/login/", {"username": "boss", "password": sys.argv[-1]}))
show("/nowhere/", client.get("/nowhere/"))
"""
"""Every page as a superuser, and the buttons that ask somebody or queue a job."""


def pages(manage: Manage, search: Search, *statements: str, **environment: str) -> str:
    """With SQL that is run before."""
    code = PAGES.replace("sys.argv[-1]", repr(secret("login"))).replace("sys.argv[-2]", repr(statements))
    text = search.run(manage, "shell", "-v0", "-c", code, **environment)
    assert "/nowhere/ 404" in text
    return text


@pytest.mark.parametrize("peers", ["well", "away", "echo"])
def test_no_page_holds_one(begun: Feeding, search: Search, peers: str) -> None:
    manage = begun.manage
    echo, broker = EchoServer(500), EchoRedis()
    search.run(manage, "fnload", begun.fn4.url, begun.oci.url(begun.bucket), "--once")
    manage.environment |= {
        "well": {},
        "away": {"OCI_ENDPOINT": f"http://{AWAY}", "REDIS_URL": f"redis://:{secret('redis')}@{AWAY}/0"},
        "echo": {
            "OCI_ENDPOINT": echo.endpoint,
            "REDIS_URL": f"redis://:{secret('redis')}@{broker.endpoint.removeprefix('http://')}/0",
        },
    }[peers]
    text = pages(manage, search)
    if peers == "echo":
        assert secret("redis") in broker.got
    assert ("Nothing queued" in text) == (peers != "well")
    search.run(manage, "fnstatus", "--alarm")
    search.look_at_rows(manage)


def test_no_page_of_an_error_under_debug_holds_one(begun: Feeding, search: Search) -> None:
    environment = {"DEBUG": "on", "REDIS_URL": f"redis://:{secret('redis')}@{AWAY}/0", "LOG_LEVEL": "INFO"}
    broken = "ALTER TABLE fnloader_site_jobrun RENAME TO hidden"
    assert "Traceback" in pages(begun.manage, search, broken, **environment)


def test_no_process_log_or_event_of_a_cluster_holds_one(begun: Feeding, search: Search, tmp_path: Path) -> None:
    """A job that fails, one that is killed, and alarms whose receivers are away."""
    manage, jobs, events = begun.manage, Jobs(begun.manage), EchoServer(200)
    manage.environment |= {
        "FN_SENTRY_URL": f"http://{secret('sentry')}@{events.endpoint.removeprefix('http://')}/1",
        "JOB_WORKERS": "1",
    }
    process = jobs.start()
    begun.fn4.insert_seconds(5)
    try:
        jobs.nudge("loader.tasks.load_feed", "not a number")
        jobs.nudge("fnloader_site.tasks.alarms")
        jobs.nudge("loader.tasks.load_feed", 1)
        until(lambda: begun.fn4.requests("POST", "/api/v2/insert"), "an insert began", process)
    except AssertionError:
        until(lambda: "insert" in str(begun.fn4.log()), "an insert began", process)
    search.look_at_processes(process.pid)
    for pid in jobs.workers(process):
        os.kill(pid, signal.SIGKILL)
    status, text = stop(process)
    search.look(text, "the log of the cluster")
    assert status in (0, 1)
    assert "job failed" in text
    sent = events.got.encode("utf-8", "replace").decode()
    assert "ValueError" in text
    search.look_at_rows(manage)
    search.look_at_files(tmp_path)
    assert sent, "no event was sent"


VALUE = secret("typed-into-url")
LEADING_NOWHERE = (
    ("fnstatus", {"DATABASE_URL": f"postgres://fnloader:{VALUE}@{AWAY}/x"}),
    ("qcluster", {"DATABASE_URL": f"postgres://fnloader:{VALUE}@{AWAY}/x"}),
    ("fnstatus", {"DATABASE_URL": f"postgres://fnloader:/{VALUE}@{AWAY}/x"}),
    ("fnstatus", {"DATABASE_URL": f"postgres://fnloader:{VALUE}@{AWAY}/x?sslmode=odd"}),
    ("fnstatus", {"DATABASE_URL": f"postgrez://fnloader:{VALUE}@{AWAY}/x"}),
    ("fnstatus", {"DATABASE_URL": f"postgres://fnloader:{VALUE}@[::1/x"}),
    ("qcluster", {"REDIS_URL": f"redis://:{VALUE}@{AWAY}/0"}),
    ("qcluster", {"REDIS_URL": f"redis://:/{VALUE}@{AWAY}/0"}),
    ("qcluster", {"REDIS_URL": f"redis://:{VALUE}@{AWAY}/{VALUE}"}),
    ("qcluster", {"REDIS_URL": f"redis://:{VALUE}@{AWAY}/0?socket_timeout={VALUE}"}),
    ("check", {"FN4_AUTH": VALUE}),
    ("check", {"FN_SENTRY_URL": f"http://{VALUE}"}),
    ("batch objects plc", {"BATCH_STORE_URL": f"s3://key:{VALUE}@bucket"}),
    ("batch objects plc", {"BATCH_STORE_URL": f"oci://user:{VALUE}@name@space"}),
    ("batch objects plc", {"BATCH_STORE_URL": f"file://user:{VALUE}@host/folder"}),
    ("batch objects plc", {"AWS_ENDPOINT_URL_S3": f"http://user:{VALUE}@{AWAY}", "BATCH_STORE_URL": "s3://b"}),
    (
        "batch objects plc",
        {
            "AWS_ENDPOINT_URL_S3": f"https://{AWAY}",
            "HTTPS_PROXY": f"http://u:{VALUE}@{AWAY}",
            "BATCH_STORE_URL": "s3://b",
        },
    ),
    ("batch objects plc", {"OCI_ENDPOINT": f"http://user:{VALUE}@{AWAY}/x", "BATCH_STORE_URL": "oci://b@ns"}),
    ("alarm test", {"ALARM_WEBHOOK_URL": f"http://user:{VALUE}@{AWAY}:{VALUE}/x"}),
    ("alarm test", {"ALARM_WEBHOOK_URL": f"http://[{VALUE}/x"}),
    ("alarm test", {"ALARM_URLS": f"slackk://{VALUE}"}),
    ("alarm test", {"ALARM_URLS": f"slack://{VALUE}"}),
    ("alarm test", {"ALARM_PING_URL": f"https://{VALUE}.invalid\\\\@/x"}),
    ("alarm test", {"ALARM_MAIL": "ops@example.org", "EMAIL_URL": f"smtp+tls://u:/{VALUE}@{AWAY}"}),
    ("alarm test", {"ALARM_MAIL": "ops@example.org", "EMAIL_URL": f"smtpx://u:{VALUE}@{AWAY}"}),
    ("alarm test", {"SITE_URL": f"https://user:{VALUE}@fnloader.example.org"}),
    ("alarm test", {"SITE_URL": f"https://user:{VALUE}@[x"}),
)
"""Commands, and a setting that each of them uses."""


def test_no_setting_that_is_wrong_or_leads_nowhere_is_repeated(manage: Manage, search: Search, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "1.xml").write_text("<record/>")
    search.run(manage, "batch", "add", "plc", str(tmp_path / "records"))
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": VALUE, "AWS_REGION": "x"}
    for command, environment in LEADING_NOWHERE:
        search.run(manage, *command.split(), **environment, **keys)
    search.look_at_rows(manage)


SERVERS = ("http://user:{}@127.0.0.1:1", "http://user:/{}@127.0.0.1:1", "ftp://user:{}@host", "http://h/?t={}")
STORES = ("s3://key:{}@bucket", "oci://user:{}@name@space", "https://u:{}@host/x", "file://u:{}@h/x")


@pytest.mark.parametrize(
    ("server", "store"),
    [*((server, "file:///tmp") for server in SERVERS), *((f"http://{AWAY}", store) for store in STORES)],
)
def test_no_address_of_a_feed_is_repeated_with_its_password(
    manage: Manage, search: Search, server: str, store: str
) -> None:
    search.run(manage, "feed", "add", "x", server.format(VALUE), store.format(VALUE))
    search.run(manage, "fnload", server.format(VALUE), store.format(VALUE), "--once")
    search.look_at_rows(manage)
