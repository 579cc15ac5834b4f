"""A specialist's day, command by command, on each kind of store."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from batches.keys import encode
from objectstores import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures_site import Manage
    from tests.fixtures_stores import Place


def key(identifier: str) -> str:
    return encode("plc", "/collectionobjects", identifier, "CREATE")


@pytest.mark.parametrize("prefix", ["", "in/here/"])
def test_from_adding_a_batch_to_archiving_it(place: Place, manage: Manage, tmp_path: Path, prefix: str) -> None:
    url, base = (f"{place.url}/{prefix}" if prefix else place.url), prefix
    if place.kind == "file":
        # Its own folder, for tmp_path holds more than the bucket; a folder's URL puts nothing before its names.
        bucket = tmp_path / "bucket" / prefix
        bucket.mkdir(parents=True)
        url, base = bucket.as_uri(), ""
    files = tmp_path / "files"
    files.mkdir()
    for name in ("good", "bad", "worse"):
        (files / f"{name}.xml").write_text("<xml/>")
    manage.environment |= dict(place.settings) | {"BATCH_STORE_URL": url}

    def run(*words: str, status: int = 0) -> str:
        result = manage(*words)
        assert result.returncode == status, (words, result.stdout, result.stderr)
        return result.stdout

    def ingest(*identifiers: str) -> None:
        with closing(open_store(url, place.settings)) as store:
            store.delete(base + key(one) for one in identifiers)

    ingstat = ("ingstat", "plc", "--sleep", "0")
    run("batch", "add", "plc", str(files))
    assert "3 records of plc would be sent" in run("batch", "upload", "plc", "--dry-run")
    run("batch", "upload", "plc")
    ingest("good")
    run(*ingstat, status=10)
    left = json.loads(run("batch", "objects", "plc", "--json"))
    assert sorted(one["identifier"] for one in left) == ["bad", "worse"]
    assert "2 objects deleted, 2 of its records" in run("batch", "clear", "plc", "--yes")
    assert run("batch", "objects", "plc") == "0 objects of plc left.\n"
    run("batch", "rollback", "plc", "ingest", "--yes")
    run("batch", "rollback", "plc", "upload", "--yes")
    assert "1 record may have been ingested" in run("batch", "upload", "plc", status=10)
    assert sorted(one["identifier"] for one in json.loads(run("batch", "objects", "plc", "--json"))) == ["bad", "worse"]
    ingest("bad", "worse")
    run(*ingstat)
    assert "1 batch archived: plc." in run("batch", "archive", "--done")
    row = run("batch", "export", "--archived").splitlines()[1].split(",")
    assert (row[0], row[4], row[15], row[21], row[22]) == ("plc", "ingested", "2", "0", "2")
    history = [one["kind"] for one in json.loads(run("batch", "show", "plc", "--json"))["steps"]]
    assert history == ["upload", "clear", "rollback_ingest", "rollback_upload", "upload", "archive"]
