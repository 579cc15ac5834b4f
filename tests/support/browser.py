"""`visit`: a real Chromium. Without one, its tests are skipped with a hint how to install it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.apps import apps
from django.contrib.auth.models import Group, User
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright
from pytest_django.live_server_helper import LiveServer

from core.permissions import make_groups
from sandbox.browser import ARGUMENTS, MISSING, chromium_path

PASSWORD = "kangaroo-9-lamp"
TIMEOUT = 30_000
"""Milliseconds, as a loaded machine is slow."""
PICTURES = os.environ.get("PICTURES", "")
"""A folder for pictures of the pages, to look at them; empty: none are taken."""
SHAPES = [("light", 1280), ("dark", 320)] if not PICTURES else list(product(("light", "dark"), (320, 1280)))
"""Colours, and widths in pixels. Pictures are taken of each with each; axe's rules about colours do not depend on the width."""


@dataclass
class Visit:
    """A browser window of a user."""

    page: Page
    site: str
    console_errors: list[str] = field(default_factory=list)
    """Blocked scripts, failed loads."""
    external_requests: list[str] = field(default_factory=list)
    """Requests to other hosts."""

    def go(self, path: str) -> None:
        """Opens a path of the site."""
        self.page.goto(self.site + path)

    def show_as(self, scheme: str, width: int) -> None:
        """In light or dark colours, that many pixels wide."""
        self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        self.page.set_viewport_size({"width": width, "height": 900})

    def take_picture(self, name: str, *, media: Literal["screen", "print"] = "screen") -> None:
        """If a folder was named for them."""
        if PICTURES:
            self.page.emulate_media(media=media)
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)
            self.page.emulate_media(media="null")

    def log_in(self, name: str) -> None:
        """Logs in as a user would."""
        self.page.fill("[name=username]", name)
        self.page.fill("[name=password]", PASSWORD)
        with self.page.expect_navigation():
            self.page.click("main button[type=submit]")

    def words(self) -> str:
        """The text of the page."""
        return " ".join(self.page.inner_text("main").split())

    def serious_violations(self) -> list[str]:
        """Serious and critical accessibility issues found by axe."""
        return [
            f"{violation['id']}: {violation['nodes'][0]['html']}"
            for violation in Axe().run(self.page).response["violations"]
            if violation["impact"] in ("serious", "critical")
        ]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser itself."""
    if not chromium_path():
        pytest.skip(MISSING)
    # Playwright keeps an event loop in this thread, where Django would refuse to use the database.
    previous = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield browser
        browser.close()
    if previous is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def visit(chromium: Browser, live_server: LiveServer) -> Iterator[Visit]:
    """A window of a user in Tokyo; `operator` and `viewer` can log in."""
    # Tests with a live server truncate all tables afterwards, including the groups that migrate created.
    make_groups(apps, "default")
    for name in ("operator", "viewer"):
        user = User.objects.create_user(name, password=PASSWORD)
        user.groups.add(Group.objects.get(name=f"{name}s"))
    with browser_window(chromium, live_server.url) as visit:
        yield visit


@contextmanager
def browser_window(chromium: Browser, site: str) -> Iterator[Visit]:
    """A window of a user in Tokyo, on that site."""
    context = chromium.new_context(timezone_id="Asia/Tokyo", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    visit = Visit(page, site)

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            visit.console_errors.append(message.text)

    def on_request(request: Request) -> None:
        if not request.url.startswith(site):
            visit.external_requests.append(request.url)

    page.on("console", on_console)
    page.on("pageerror", lambda error: visit.console_errors.append(str(error)))
    page.on("request", on_request)
    yield visit
    context.close()
