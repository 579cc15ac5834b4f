"""In which batches the records of a list are, and what became of each."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from batches.choices import IngestOutcome, RecordStatus, UploadOutcome
from batches.keys import comparison_form, digest, encode
from batches.models import Batch, BatchRecord
from batches.record_list import RecordRow, record_report

if TYPE_CHECKING:
    from tests.support.batch_site import BatchSite


def batch(bid: str = "plc") -> Batch:
    return Batch.objects.create(bid=bid, rectype="collectionobject", action="CREATE")


def record(of: Batch, identifier: str, **columns: object) -> BatchRecord:
    key = encode(of.bid, "/collectionobjects", identifier, "CREATE")
    return BatchRecord.objects.create(
        batch=of, row=of.records.count() + 1, key=key, key_digest=digest(key), identifier=identifier,
        identifier_norm=comparison_form(identifier), action="CREATE", **columns,
    )  # fmt: skip


def looked_up(*identifiers: str, only_open: bool = False) -> list[RecordRow]:
    with record_report(identifiers, only_open=only_open) as report:
        return list(report)


pytestmark = pytest.mark.django_db
SENT = {"upload_outcome": UploadOutcome.SUCCESS}


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        ({}, RecordStatus.TO_UPLOAD),
        ({"upload_outcome": UploadOutcome.SENDING}, RecordStatus.UNCERTAIN),
        ({"upload_outcome": UploadOutcome.UNCERTAIN}, RecordStatus.UNCERTAIN),
        ({"upload_outcome": UploadOutcome.FAILURE, "upload_message": "403"}, RecordStatus.NOT_UPLOADED),
        ({"upload_outcome": UploadOutcome.UNUPLOADABLE}, RecordStatus.NOT_UPLOADED),
        ({"upload_outcome": UploadOutcome.SKIP, "ingest_outcome": IngestOutcome.SKIP}, RecordStatus.NOT_UPLOADED),
        ({"upload_outcome": UploadOutcome.CLEARED}, RecordStatus.NOT_UPLOADED),
        (SENT, RecordStatus.IN_INGEST),
        (SENT | {"ingest_outcome": IngestOutcome.FAILURE}, RecordStatus.FAILED),
        (SENT | {"ingest_outcome": IngestOutcome.UNCERTAIN}, RecordStatus.UNCERTAIN),
        (SENT | {"ingest_outcome": IngestOutcome.SUCCESS}, RecordStatus.INGESTED),
        ({"upload_outcome": UploadOutcome.UNCERTAIN, "ingest_outcome": IngestOutcome.SUCCESS}, RecordStatus.INGESTED),
    ],
)
def test_what_became_of_a_record(columns: dict[str, str], status: RecordStatus) -> None:
    record(batch(), "1984.12", **columns)
    (row,) = looked_up("1984.12")
    assert (row.status, row.batch, row.row, row.message) == (status, "plc", 1, columns.get("upload_message", ""))


def test_unknown_ones_come_first_and_only_open_ones_are_listed_if_asked() -> None:
    one = batch()
    record(one, "done", **SENT, ingest_outcome=IngestOutcome.SUCCESS)
    record(one, "bad", **SENT, ingest_outcome=IngestOutcome.FAILURE, ingest_message="409")
    assert [(row.identifier, row.status) for row in looked_up("done", "bad", "none")] == [
        ("none", "unknown"), ("bad", "failed"), ("done", "ingested"),
    ]  # fmt: skip
    assert [row.identifier for row in looked_up("done", "bad", "none", only_open=True)] == ["none", "bad"]
    with record_report(["done"], only_open=True) as report:
        assert (report.exit_status, report.total) == (0, 1)
    with record_report(["done", "bad"]) as report:
        assert report.exit_status == 10


def test_the_newest_batch_decides_and_all_are_named() -> None:
    old, new = batch("old"), batch("new")
    record(old, "x", **SENT, ingest_outcome=IngestOutcome.FAILURE)
    record(new, "x", **SENT, ingest_outcome=IngestOutcome.SUCCESS)
    assert [(row.batch, row.status) for row in looked_up("x")] == [("new", "ingested"), ("old", "failed")]
    assert looked_up("x", only_open=True) == []


def test_identifiers_that_look_alike_are_one() -> None:
    one = batch()
    decomposed = unicodedata.normalize("NFD", "Käfer 1")
    record(one, decomposed)
    record(one, "Käfer\u200b 2")
    record(one, "a/b|c, d")
    found = {row.identifier: row.known_as for row in looked_up("Käfer 1", "Käfer 2", "a/b|c, d", "\u00a0a/b|c, d")}
    assert found["Käfer 1"] == decomposed
    assert found["Käfer 2"] == "Käfer\u200b 2"
    assert "in no batch" not in {row.message for row in looked_up(*found)}


def test_every_look_up_is_by_an_index() -> None:
    record(batch(), "x")
    with CaptureQueriesContext(connection) as captured:
        looked_up("x", "y")
    assert len(captured) == 2
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        lines = []
        for query in captured:
            cursor.execute(explain + query["sql"])
            lines += [str(row) for row in cursor.fetchall()]
    text = "\n".join(lines)
    assert "batches_record_identifier" in text
    assert "batches_record_identifier_norm" in text
    assert "SCAN batches_batchrecord" not in text


@pytest.mark.django_db(transaction=True)
def test_the_command_on_what_was_really_ingested(site: BatchSite, tmp_path: Path) -> None:
    site.seed(one=["a", "b"])
    assert site.ingstat("one").returncode == 10
    listed = tmp_path / "ids.txt"
    listed.write_text("a\nnone\n")
    told = site("batch", "records", str(listed))
    assert told.returncode == 10, told.stderr
    assert [line.split()[0] for line in told.stdout.splitlines()] == ["Unknown", "Ingest", "2"]
    document = json.loads(site("batch", "records", str(listed), "--open", "--json").stdout)
    assert [row["batch"] for row in document["ids"]] == [None, "one"]
    assert site("batch", "records", str(listed), "--column", "q").returncode == 1
