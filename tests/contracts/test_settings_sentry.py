"""Sentry hears of errors only when it is asked for, and never of local variables or sequences."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from tests.support.site import Manage


class Receiver(http.server.ThreadingHTTPServer):
    """Takes what Sentry's client sends."""

    daemon_threads = True

    def __init__(self) -> None:
        self.events: list[str] = []
        self.came = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                plain = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                receiver.events.append(plain.decode())
                receiver.came.set()
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield one
    one.shutdown()
    one.server_close()
    thread.join()


def test_an_exception_of_a_command_is_sent_without_local_variables(manage: Manage, receiver: Receiver) -> None:
    dsn = f"http://key@127.0.0.1:{receiver.server_port}/1"
    code = "sequence = 'ACGT' * 20; raise RuntimeError('something broke')"
    # A process of its own to its very end: the client sends what it holds when the interpreter ends.
    process = manage.start("shell", "-v0", "-c", f"def load():\n    {code}\nload()", FN_SENTRY_URL=dsn)
    process.communicate()
    assert process.returncode == 1
    assert receiver.came.wait(10)
    sent = "\n".join(receiver.events)
    event = next(json.loads(line) for line in sent.splitlines() if '"exception"' in line)
    assert event["exception"]["values"][-1]["value"] == "something broke"
    assert event["server_name"] == "test-host"
    assert '"vars"' not in sent
    assert "ACGT" * 20 not in sent


IN_A_JOB = """
from core.jobs.decorator import job
from core.logs import log_context

@job
def broken():
    with log_context(feed="tb", batch="plc"):
        sequence = "ACGT" * 20
        raise RuntimeError("the job broke")

try:
    broken()
except RuntimeError:
    pass
"""
IN_A_COMMAND = """
import sentry_sdk
from django.core.management import call_command
from batches.management.commands import ingstat

def broken(bid):
    raise RuntimeError("the check broke")

ingstat.get_batch = broken
try:
    call_command("ingstat", "plc")
except RuntimeError as error:
    sentry_sdk.capture_exception(error)
"""
IN_A_REQUEST = """
import sys
from django.test import Client
from django.urls import path
from django.contrib.auth.decorators import login_not_required
from fnloader_site import urls

@login_not_required
def broken(request, name):
    raise RuntimeError("the page broke")

urls.urlpatterns.append(path("broken/<name>/", broken))
client = Client(raise_request_exception=False, HTTP_HOST="localhost")
client.cookies["sessionid"] = "secret-of-a-session"
Client(HTTP_HOST="evil-host").get("/")
client.get("/\\0")
client.post("/broken/tb/?password=the-query", {"seq": "ACGT" * 20}, HTTP_REFERER="http://localhost/?q=the-query")
"""


@pytest.mark.parametrize(
    ("code", "value", "tags"),
    [
        (
            IN_A_JOB,
            "the job broke",
            {"host": "test-host", "feed": "tb", "batch": "plc", "job": "django.core.management.commands.shell.broken"},
        ),
        (IN_A_COMMAND, "the check broke", {"host": "test-host", "batch": "plc"}),
        (IN_A_REQUEST, "the page broke", {"host": "test-host", "feed": "tb"}),
    ],
)
def test_an_event_says_where_and_what_it_is_about_and_nothing_else(
    manage: Manage, receiver: Receiver, code: str, value: str, tags: dict[str, str]
) -> None:
    dsn = f"http://key@127.0.0.1:{receiver.server_port}/1"
    process = manage.start("shell", "-v0", "-c", code, FN_SENTRY_URL=dsn, ALLOWED_HOSTS="localhost")
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert receiver.came.wait(10), err
    sent = "\n".join(receiver.events)
    event = next(json.loads(line) for line in sent.splitlines() if '"exception"' in line)
    assert event["exception"]["values"][-1]["value"] == value
    assert event["release"] == "fnloader@0.1.0"
    assert {name: event["tags"].get(name) for name in tags} == tags
    assert not any("evil-host" in line or "NUL" in line for line in receiver.events)
    for secret in (
        "the-query",
        "ACGT" * 20,
        '"vars"',
        "secret-of-a-session",
        '"breadcrumbs": {"values": [{',
        "sys.argv",
    ):
        assert secret not in sent


def test_without_a_dsn_the_client_is_not_even_loaded(manage: Manage) -> None:
    code = "import sys; print('sentry_sdk' in sys.modules)"
    assert manage("shell", "-v0", "-c", code, FN_SENTRY_URL="").stdout.strip() == "False"
