"""`browser`: a real Chromium for the ways of people through the pages. Without one, these tests skip and say how to get it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.apps import apps
from django.contrib.auth.models import Group, User
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from core.permissions import make_groups
from sandbox.browser import ARGUMENTS, MISSING, chromium_path

PASSWORD = "kangaroo-9-lamp"
SECONDS = 30_000
"""Milliseconds that the browser waits for anything: a loaded machine is slow."""


@dataclass
class Visit:
    """One person's browser window."""

    page: Page
    site: str
    complaints: list[str] = field(default_factory=list)
    """What the browser's console said: blocked scripts, failed loads."""
    elsewhere: list[str] = field(default_factory=list)
    """What was asked of other hosts."""

    def go(self, path: str) -> None:
        """Opens an address of the site."""
        self.page.goto(self.site + path)

    def log_in(self, name: str) -> None:
        """As its user would."""
        self.page.fill("[name=username]", name)
        self.page.fill("[name=password]", PASSWORD)
        with self.page.expect_navigation():
            self.page.click("main button[type=submit]")

    def words(self) -> str:
        """What the page says."""
        return " ".join(self.page.inner_text("main").split())

    def serious(self) -> list[str]:
        """What axe finds that keeps somebody from using the page."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser itself."""
    if not chromium_path():
        pytest.skip(MISSING)
    # Playwright keeps an event loop in this thread; Django would refuse the database there.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def visit(chromium: Browser, live_server: LiveServer) -> Iterator[Visit]:
    """A window of somebody in Tokyo; `operator` and `viewer` may log in."""
    # Tests with a server of their own empty all tables afterwards, the groups that migrate made among them.
    make_groups(apps, "default")
    for name in ("operator", "viewer"):
        user = User.objects.create_user(name, password=PASSWORD)
        user.groups.add(Group.objects.get(name=f"{name}s"))
    with a_window(chromium, live_server.url) as one:
        yield one


@contextmanager
def a_window(chromium: Browser, site: str) -> Iterator[Visit]:
    """A window of somebody in Tokyo, on that site."""
    context = chromium.new_context(timezone_id="Asia/Tokyo", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SECONDS)
    page = context.new_page()
    one = Visit(page, site)

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            one.complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: one.complaints.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(site) else one.elsewhere.append(asked.url))
    yield one
    context.close()
