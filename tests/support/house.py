"""`house`: a site run by `serve`, with a failed batch and a rejected file; `guest`: a browser window on it."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from batches.keys import encode
from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta, mutant, reference
from tests.support.browser import PASSWORD, Visit, browser_window
from tests.support.fork_server import ForkServer
from tests.support.site import Manage, a_site

LENGTH = 600
USERS = f"""
from django.contrib.auth.models import Group, User
for name, group in (("morgan", "operators"), ("nobody", None)):
    user = User.objects.create_user(name, password="{PASSWORD}")
    if group:
        user.groups.add(Group.objects.get(name=group))
"""
REASON = "409 Client Error: a record with number 2026.2 exists"


@dataclass
class House:
    """The site, its bucket of batches, its bucket of files, and a server."""

    manage: Manage
    url: str
    batches: Path
    files: Path
    fn4: Fn4Sandbox

    def ingest(self, *identifiers: str, bid: str = "plc") -> None:
        """Deletes the objects of these records, as the Lambda does."""
        for identifier in identifiers:
            (self.batches / encode(bid, "/collectionobjects", identifier, "CREATE")).unlink()

    def run(self, *words: str, status: int = 0) -> None:
        """Runs a command that ends with that status."""
        result = self.manage(*words)
        assert result.returncode == status, result.stderr + result.stdout


@pytest.fixture(scope="module")
def house(
    chromium: Browser, migrated: str, tmp_path_factory: pytest.TempPathFactory, fork_server: ForkServer
) -> Iterator[House]:
    """Shared by the tests of a module, each of which uses its own part."""
    folder = tmp_path_factory.mktemp("house")
    batches, files = folder / "bucket", folder / "queue"
    batches.mkdir()
    files.mkdir()
    with a_site(migrated, folder, fork_server) as manage, Fn4Sandbox(LENGTH) as fn4, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        manage.environment |= {"BATCH_STORE_URL": batches.as_uri(), "JOB_WORKERS": "1"}
        built = House(manage, url, batches, files, fn4)
        built.run("shell", "-v0", "-c", USERS)
        _add_failed_batch(built, folder / "records")
        _add_rejected_file(built)
        with _serve(built):
            yield built


def _add_failed_batch(house: House, folder: Path) -> None:
    folder.mkdir()
    for number in range(1, 4):
        (folder / f"2026.{number}.xml").write_text("<record/>")
    house.run("batch", "add", "plc", str(folder))
    house.run("batch", "upload", "plc")
    house.ingest("2026.1")
    house.run("ingstat", "plc", "--sleep", "0.01", status=10)
    house.manage.rows("UPDATE batches_batchrecord SET ingest_message = %s WHERE ingest_outcome = 'failure'", REASON)


def _add_rejected_file(house: House) -> None:
    genome = mutant(reference(LENGTH), 1)
    (house.files / "good.fasta").write_bytes(fasta("good", genome))
    (house.files / "odd.fasta").write_bytes(fasta("odd", genome, prefix="OTHER|"))
    house.run("feed", "add", "tb", house.fn4.url, house.files.as_uri())
    house.run("fnload", house.fn4.url, house.files.as_uri(), "--once", status=10)


@contextlib.contextmanager
def _serve(house: House) -> Iterator[None]:
    process = house.manage.start("serve", "--bind", urlsplit(house.url).netloc)
    try:
        _wait_for(house.url + "/healthz", process.poll)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=100)


def _wait_for(url: str, ended: Callable[[], int | None]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        assert ended() is None, "serve ended"
        time.sleep(0.1)
    raise AssertionError("serve does not respond")


@pytest.fixture
def guest(chromium: Browser, house: House) -> Iterator[Visit]:
    """A browser window on it; `morgan` is an operator, `nobody` has no permissions."""
    with browser_window(chromium, house.url) as visit:
        yield visit
