"""A real Chromium for tests and screenshots: the machine's own, without a window, which contacts no host but the site."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "Chromium not found: apt-get install chromium, or set CHROMIUM=/path/to/it."
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",  # it is root in a container, and sees our pages only
    "--disable-gpu",
    "--disable-lcd-text",  # letters in greys: smaller pictures
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str:
    """Its path; empty if there is none."""
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM", ""), *NAMES) if name)
    return next((path for path in found if path), "")


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser that runs until the block ends."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        try:
            yield started
        finally:
            started.close()
