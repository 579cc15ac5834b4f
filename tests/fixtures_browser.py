"""`browser`: a real Chromium for the ways of people through the pages. Without one, these tests skip and say how to get it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.apps import apps
from django.contrib.auth.models import Group, User
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from fnloader_site.accounts import make_groups

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
QUIET = [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
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

    def go(self, path: str) -> None:
        """Opens an address of the site."""
        self.page.goto(self.site + path)

    def log_in(self, name: str) -> None:
        """As its user would."""
        self.page.fill("[name=username]", name)
        self.page.fill("[name=password]", PASSWORD)
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
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium, or name one in CHROMIUM")
    # Playwright keeps an event loop in this thread; Django would refuse the database there.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
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
    context = chromium.new_context(timezone_id="Asia/Tokyo", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SECONDS)
    page = context.new_page()
    one = Visit(page, live_server.url)

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            one.complaints.append(message.text)

    page.on("console", hear)
    yield one
    context.close()
