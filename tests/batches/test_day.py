"""A specialist's day, command by command, on each kind of store."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from batches.keys import encode
from objectstores import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_django.fixtures import Settings

    from tests.support.stores import StoreLocation

pytestmark = pytest.mark.django_db


def key(identifier: str) -> str:
    return encode("plc", "/collectionobjects", identifier, "CREATE")


def test_from_adding_a_batch_to_archiving_it(
    place: StoreLocation,
    tmp_path: Path,
    run: Callable[..., tuple[int, str]],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = "in/here/"
    url = f"{place.url}/{base}"
    if place.kind == "file":
        # A folder's URL puts nothing before its names.
        (tmp_path / base).mkdir(parents=True)
        base = ""
    for name, value in place.settings.items():
        monkeypatch.setenv(name, value)
    settings.BATCH_STORE_URL, settings.REPORTS_DIR = url, tmp_path / "reports"
    files = tmp_path / "files"
    files.mkdir()
    for name in ("good", "bad", "worse"):
        (files / f"{name}.xml").write_text("<xml/>")

    def done(*words: str, status: int = 0) -> str:
        found, said = run(*words)
        assert found == status, (words, said)
        return said

    def ingest(*identifiers: str) -> None:
        with closing(open_store(url, place.settings)) as store:
            store.delete(base + key(one) for one in identifiers)

    ingstat = ("ingstat", "plc", "--sleep", "0")
    done("batch", "add", "plc", str(files))
    assert "3 records of plc would be sent" in done("batch", "upload", "plc", "--dry-run")
    done("batch", "upload", "plc")
    ingest("good")
    done(*ingstat, status=10)
    left = json.loads(done("batch", "objects", "plc", "--json"))
    assert sorted(one["identifier"] for one in left) == ["bad", "worse"]
    assert "2 objects deleted, of 2 records" in done("batch", "clear", "plc", "--yes")
    assert done("batch", "objects", "plc") == "0 objects of plc remaining.\n"
    done("batch", "rollback", "plc", "ingest", "--yes")
    done("batch", "rollback", "plc", "upload", "--yes")
    assert "1 uncertain record" in done("batch", "upload", "plc", status=10)
    assert sorted(one["identifier"] for one in json.loads(done("batch", "objects", "plc", "--json"))) == [
        "bad",
        "worse",
    ]
    ingest("bad", "worse")
    done(*ingstat)
    assert "1 batch archived: plc." in done("batch", "archive", "--done")
    row = done("batch", "export", "--archived").splitlines()[1].split(",")
    assert (row[0], row[4], row[15], row[21], row[22]) == ("plc", "ingested", "2", "0", "2")
    history = [one["kind"] for one in json.loads(done("batch", "show", "plc", "--json"))["steps"]]
    assert history == ["upload", "clear", "rollback_ingest", "rollback_upload", "upload", "archive"]
