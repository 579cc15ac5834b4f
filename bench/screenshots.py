"""Pictures of the main pages for docs/screenshots, light and dark, wide and narrow, from a week of lifelike data.

`make screenshots`: a new database, a site on a free port, and Chromium (CHROMIUM is the path of another one).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from playwright.sync_api import Browser

from sandbox.browser import MISSING, browser, chromium_path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "screenshots"
PASSWORD = "kangaroo-9-lamp"
PAGES = {
    "overview": "/",
    "overview-day": "/#day",
    "batches": "/batches/",
    "batch": "/batches/b021/",
    "batch-in-ingest": "/batches/b022/",
    "batch-archive": "/batches/b021/archive/",
    "batch-summary": "/batches/b000/summary/",
    "batches-summary": "/batches/summary/",
    "batch-replay": "/batches/b021/replay/",
    "rates": "/ingest/rates/",
    "advice": "/ingest/advice/",
    "feeds": "/feeds/",
    "feed": "/feeds/sars-cov-2-oxford/?span=week",
    "feed-outlook": "/feeds/sars-cov-2-oxford/#outlook",
    "feed-invalid": "/feeds/sars-cov-2-oxford/#invalid",
    "twins": "/twins/",
    "samples": "/samples/",
    "attempts": "/attempts/?outcome=rejected",
    "attempt": "/attempts/4000/",
    "files": "/files/?state=rejected",
    "search": "/search/?q=OXF",
    "admin": "/admin/loader/feed/",
}
IDS = "sample\nNEW-01-00003\nOXF-26-unknown\nNEW-02-00011"
"""What is looked up on the page *Check a list*."""
SHAPES = {"wide": (1280, 760), "narrow": (390, 844)}


def main() -> None:
    """Makes them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not chromium_path():
        sys.exit(MISSING)
    with site() as address, browser() as started:
        for scheme in ("light", "dark"):
            for shape in SHAPES:
                for picture in pictures(started, address, scheme, shape):
                    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB", flush=True)


def pictures(started: Browser, address: str, scheme: str, shape: str) -> Iterator[Path]:
    """Every page in one theme and size."""
    width, height = SHAPES[shape]
    context = started.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{address}/login/")
    page.fill("[name=username]", "demo")
    page.fill("[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_selector("nav.sidebar", state="attached")
    for name, path in PAGES.items():
        page.goto(address + path)
        if name == "samples":
            page.fill("[name=text]", IDS)
            page.click("button:has-text('Look up')")
            page.wait_for_load_state()
        file = FOLDER / f"{name}-{scheme}-{shape}.png"
        page.screenshot(path=file)
        yield file
    context.close()


@contextmanager
def site() -> Iterator[str]:
    """A site with a new database, until the pictures are made."""
    with tempfile.TemporaryDirectory(prefix="fnloader-pictures-") as folder:
        environment = os.environ | {
            "FNLOADER_ENV_FILE": os.devnull,
            "SECRET_KEY": "pictures-" + "x" * 50,
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "HOST_NAME": "workstation",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }
        manage = [sys.executable, "-W", "ignore", "manage.py"]
        user = ["createsuperuser", "--noinput", "--username", "demo", "--email", "demo@example.org", "-v0"]
        for words in ([*manage, "migrate", "-v0"], [sys.executable, "-m", "bench.lifelike"], [*manage, *user]):
            subprocess.run(words, cwd=ROOT, env=environment, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [*manage, "runserver", f"127.0.0.1:{port}", "--noreload", "--skip-checks"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


def _wait(address: str) -> None:
    for _ in range(120):
        try:
            if requests.get(f"{address}/healthz", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.5)
    sys.exit("The site did not start.")


if __name__ == "__main__":
    main()
