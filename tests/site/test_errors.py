"""Errors are pages of the site, even if nothing else works; static files and healthz need no login."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from django.template.loader import get_template

from tests.support.fork_server import ROOT
from tests.support.site import Manage


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "404.html", "500.html"])
def test_an_error_page_needs_no_context(name: str) -> None:
    text = get_template(name).render()
    assert re.search(r"<title>\s*\S.* · fnloader\s*</title>", text)
    assert "/static/site.css" in text
    assert "Log out" not in text


class Site:
    """The site as WSGI servers run it, in a process of its own."""

    def __init__(self, manage: Manage, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        code = (
            "import sys; from wsgiref.simple_server import make_server as m; from fnloader_site.wsgi import application;"
            f"m('127.0.0.1', {port}, application).serve_forever()"
        )
        settings = {"DJANGO_SETTINGS_MODULE": "fnloader_site.settings", "DEBUG": "off"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | manage.environment | settings | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = f"http://127.0.0.1:{port}"
        for _ in range(400):
            if self._answers():
                return
            time.sleep(0.05)
        raise AssertionError(f"the site did not start: {self.stop()}")

    def _answers(self) -> bool:
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        """Status, type and text."""
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.headers["content-type"], response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["content-type"], error.read().decode()

    def stop(self) -> str:
        """Ends it and returns what it logged."""
        self.process.terminate()
        return self.process.communicate(timeout=20)[1]


@pytest.fixture
def site(manage: Manage) -> Iterator[Site]:
    one = Site(manage)
    try:
        yield one
    finally:
        one.stop()


def test_with_debug_off_the_site_serves_its_own_files_and_pages(site: Site) -> None:
    assert site.get("/healthz") == (200, "text/plain", "ok\n")
    status, kind, css = site.get("/static/site.css")
    assert (status, kind.partition(";")[0], "--background" in css) == (200, "text/css", True)
    for path, expected in (("/static/icon.svg", "image/svg+xml"), ("/static/admin/css/base.css", "text/css")):
        status, kind, _ = site.get(path)
        assert (status, kind.partition(";")[0]) == (200, expected), path
    status, _, login = site.get("/")
    assert (status, "csrfmiddlewaretoken" in login) == (200, True)
    assert site.get("/nowhere")[0] == 404
    assert site.get("/healthz", Host="10.1.2.3:8000") == (200, "text/plain", "ok\n"), "for a load balancer"
    status, _, text = site.get("/login/", Host="evil.example")
    assert (status, "ALLOWED_HOSTS" in text, "Traceback" in text) == (400, True, False)


def test_an_error_of_ours_is_a_page_without_details_and_a_traceback_in_the_log(manage: Manage) -> None:
    site = Site(manage, DATABASE_URL="sqlite:////nowhere/at/all.sqlite3")
    status, _, text = site.get("/", Cookie="sessionid=" + "a" * 32)
    log = site.stop()
    assert (status, "Server error" in text) == (500, True)
    assert "OperationalError" not in text
    assert "OperationalError" in log


def test_behind_https_a_local_monitor_still_gets_its_response(manage: Manage) -> None:
    site = Site(manage, SITE_URL="https://fnloader.example.org")
    try:
        assert site.get("/healthz") == (200, "text/plain", "ok\n")
        status, _, text = site.get("/login/", **{"X-Forwarded-Proto": "https", "Host": "fnloader.example.org"})
        assert (status, "csrfmiddlewaretoken" in text) == (200, True)
    finally:
        site.stop()
