"""`batch list` and `batch show`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]


def test_batches_are_listed_newest_first_by_status_and_as_json(site: BatchSite) -> None:
    assert site("batch", "list").stdout == "No batches yet. To add one: manage.py batch add BID FOLDER\n"
    site.seed(one=["a", "b"])
    assert site("batch", "add", "two", str(site.files("two", 3)), "--action", "update").returncode == 0
    assert site.ingstat("one").returncode == 10
    head, two, one = site("batch", "list").stdout.splitlines()
    assert head.split() == (
        [
            "id",
            "status",
            "record",
            "type",
            "action",
            "records",
            "uploaded",
            "failed",
            "ingested",
            "remaining",
            "open",
            "duration",
            "added",
        ]
    )
    assert two.split()[:5] == ["two", "added", "collectionobject", "update", "3"]
    assert one.split()[:10] == ["one", "ingested", "collectionobject", "create", "2", "2", "0", "0", "2", "2"]
    assert one.split()[10].startswith("30:00:")
    only = site("batch", "list", "--status", "ingested").stdout
    assert "one" in only
    assert "two" not in only
    (facts,) = json.loads(site("batch", "list", "--status", "added", "--json").stdout)
    assert (facts["id"], facts["action"], facts["batch_prefix"], facts["ingest_errs"]) == (
        "two",
        "UPDATE",
        "dHdvf",
        None,
    )
    site.manage.rows("update batches_batch set archived_at = added_at where bid = 'one'")
    assert "one" not in site("batch", "list").stdout
    assert "one" in site("batch", "list", "--archived").stdout


def test_a_batch_is_shown_with_facts_counts_and_causes(site: BatchSite) -> None:
    assert site("batch", "add", "plc", str(site.files("plc", 3))).returncode == 0
    (site.folder / "plc" / "A.00002.xml").unlink()
    assert site("batch", "upload", "plc").returncode == 10
    assert site.ingstat("plc").returncode == 10
    lines = site("batch", "show", "plc").stdout.splitlines()
    assert "status                 ingested" in lines
    assert f"store url              {site.url}" in lines
    assert "upload outcomes        2 success, 1 unuploadable" in lines
    assert "ingest outcomes        3 failure" in lines
    assert "  1 record unuploadable: file 'A.00002.xml' not found (row 2: A.00002)" in lines
    assert "  2 records failure: no message (such as row 1: A.00001)" in lines
    facts = json.loads(site("batch", "show", "plc", "--json").stdout)
    assert facts["outcomes"]["upload"] == {"success": 2, "unuploadable": 1}
    ingest, upload = facts["causes"]
    assert (ingest["step"], ingest["records"], ingest["row"]) == ("ingest", 2, 1)
    assert (upload["step"], upload["outcome"], upload["message"]) == ("upload", "unuploadable", "file '…' not found")
    assert (upload["records"], upload["identifier"]) == (1, "A.00002")
    assert upload["example"] == "file 'A.00002.xml' not found"
    assert [one["row"] for one in facts["failed"]] == [1, 2, 3]
    assert facts["uncertain"] == []
    assert site("batch", "show", "nobody").returncode == 1
    assert site("batch").returncode == 2
    assert site("batch", "merge").returncode == 2
