"""What commands write is for its owner alone, whatever the umask of who runs them (the database: test_settings_environment)."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.feeding import Feeding


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """That of most systems."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_all_files_of_a_site_are_for_their_owner(feeding: Feeding, tmp_path: Path) -> None:
    manage = feeding.manage
    records, store, new = tmp_path / "records", tmp_path / "store", tmp_path / "site"
    for folder in (records, store, new, new / "tmp"):
        folder.mkdir()
    for number in range(3):
        (records / f"2026.{number}.xml").write_text("<record/>")
    ids = tmp_path / "ids.txt"
    ids.write_text("a\nb\n")
    manage.environment |= {
        "BATCH_STORE_URL": store.as_uri(),
        "REPORTS_DIR": str(new / "reports"),
        "TMPDIR": str(new / "tmp"),
    }
    feeding.put_samples("a", "b")
    url = feeding.oci.url(feeding.bucket)
    seen: dict[Path, int] = {}
    for command in (
        f"batch add plc {records}",
        "batch upload plc",
        "ingstat plc --checks 1 --rechecks 1 --sleep 0",
        f"feed add tb {feeding.fn4.url} {url}",
        f"fnload {feeding.fn4.url} {url} --once",
        "feed reconcile tb",
        f"sample {ids} --csv",
    ):
        process = manage.start(*command.split())
        while process.poll() is None:
            seen |= modes(new)
            time.sleep(0.01)
        out, err = process.communicate()
        assert process.returncode in {0, 10}, (command, out, err)
    seen |= modes(new) | modes(store)
    names = {path.name for path in seen}
    assert any(name.startswith("ingest_report") for name in names), names
    assert {path: oct(mode) for path, mode in seen.items() if mode & 0o077} == {}


def modes(folder: Path) -> dict[Path, int]:
    """Of all files in it; folders that the test made are not asked."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            try:
                found[path] = stat.S_IMODE(path.lstat().st_mode)
            except FileNotFoundError:  # a temporary file
                continue
    return found
