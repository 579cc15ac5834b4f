"""Corrections: the failed rows as they were in the source, the batch that sends them again, and what is then still open."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from batches.concerns import batch_concerns
from batches.corrections.links import link_corrections, unlink_correction
from batches.corrections.status import batches_with_open, correction_status
from batches.ingest.check import write_outcomes
from batches.models import Batch, BatchRecord, Correction
from batches.querysets import get_batch
from batches.upload.duplicates import find_duplicates
from core.exceptions import OperationRefused
from tests.support.mapper import map_csv, write_csv
from tests.support.shelf import Shelf

pytest_plugins = ["tests.support.shelf"]
pytestmark = pytest.mark.django_db

Run = Callable[..., tuple[int, str]]
HEADER = ["Title (display)", "objectNumber", "mass, in g", "note"]
SOURCE = [
    HEADER,
    ["Bowl", "2026.1", "12", ""],
    ["=Vase", "2026.2", "wrong", "a “quoted”, 'odd'\nnote"],
    ["Jar", "2026.3", "7", "00123"],
    ["Cup", "2026.4", "3", " two  spaces "],
    ["Ewer", "2026.5", "4", ""],
]


def _wrong_mass(row: object) -> str:
    mass = dict(row)["mass, in g"]  # type: ignore[call-overload]
    return "" if mass.isdigit() else f"unparseable_number: '{mass}' is not a number"


class Way:
    """What a specialist does, in this process: map, add, upload, and an ingest in which some records fail."""

    def __init__(self, run: Run, shelf: Shelf, folder: Path) -> None:
        self.run, self.shelf, self.folder = run, shelf, folder

    def add(self, bid: str, source: Path, *words: str, status: int = 0) -> str:
        folder = map_csv(source, self.folder / f"folder-{bid}", bid, wrong=_wrong_mass)
        ended, text = self.run("batch", "add", bid, str(folder), *words)
        assert ended == status, text
        return text

    def ingest(self, bid: str, *failed: str) -> None:
        """Uploads it; all records but these leave the bucket, and the check writes its result."""
        self.run("batch", "upload", bid)
        batch = get_batch(bid)
        for identifier, key in batch.records.filter(upload_outcome="success").values_list("identifier", "key"):
            if identifier not in failed:
                (self.shelf.bucket / str(key)).unlink()
        self.run("ingstat", bid, "--sleep", "0")
        batch.records.filter(ingest_outcome="failure").update(
            ingest_message="409 Client Error: for url: https://core.example.org/cspace-services/1234567", tries=3
        )

    def corrections(self, bid: str, *words: str) -> list[list[str]]:
        status, text = self.run("batch", "corrections", bid, *words)
        assert status == 0, text
        return list(csv.reader(io.StringIO(text)))

    def status(self, bid: str) -> str:
        return str(correction_status(get_batch(bid)))


@pytest.fixture
def way(run: Run, shelf: Shelf, tmp_path: Path) -> Way:
    return Way(run, shelf, tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "source.csv", *SOURCE)


def test_the_failed_rows_are_those_of_the_source_with_the_reason_behind_them(way: Way, source: Path) -> None:
    way.add("plc", source)
    way.ingest("plc", "2026.4")
    cause = "409 Client Error: for url: <url>"
    assert way.corrections("plc") == [
        [*HEADER, "error_step", "error_message", "error_cause", "tries"],
        [
            *SOURCE[2],
            "map",
            "unparseable_number: 'wrong' is not a number",
            "mapping failed: unparseable_number: '…' is not a number",
            "",
        ],
        [
            *SOURCE[4],
            "ingest",
            "409 Client Error: for url: https://core.example.org/cspace-services/1234567",
            cause,
            "3",
        ],
    ]
    assert [row[1] for row in way.corrections("plc", "--cause", "409 CLIENT")] == ["objectNumber", "2026.4"]
    status, text = way.run("batch", "corrections", "plc", "--cause", "no such")
    assert status == 1
    assert "No failed record of plc has the cause 'no such'. Causes: manage.py batch show plc" in text
    target = way.folder / "out.csv"
    status, text = way.run("batch", "corrections", "plc", str(target))
    assert text.splitlines()[0] == f"2 failed records of plc written to {target}."
    assert list(csv.reader(io.StringIO(target.read_bytes().decode(), newline=""))) == way.corrections("plc")
    status, text = way.run("batch", "corrections", "plc", str(way.folder / "no" / "where.csv"))
    assert status == 1
    assert "Could not write" in text


def test_a_correction_closes_what_it_corrected_and_a_correction_of_it_the_rest(way: Way, source: Path) -> None:
    way.add("plc", source)
    way.ingest("plc", "2026.4", "2026.5")
    assert way.status("plc") == "3 failed, 3 open"
    rows = way.corrections("plc")
    rows[1][2] = "13"
    text = way.add("plc2", write_csv(way.folder / "plc2.csv", *rows), "--corrects", "plc")
    assert "plc2 added: 3 records to create" in text
    assert "It corrects plc: 3 of its 3 failed records." in text
    assert way.status("plc") == "3 failed, 3 open"
    way.ingest("plc2", "2026.5")
    assert way.status("plc") == "3 failed, 2 since corrected in plc2, 1 open"
    assert way.status("plc2") == "1 failed, 1 open"
    # The columns of the first corrections CSV, which the mapper handed on, are not taken for the source's.
    assert way.corrections("plc2")[0] == [*HEADER, "error_step", "error_message", "error_cause", "tries"]
    assert [row[1] for row in way.corrections("plc", "--open")[1:]] == ["2026.5"]
    way.add("plc3", write_csv(way.folder / "plc3.csv", *way.corrections("plc2")), "--corrects", "plc2")
    way.ingest("plc3")
    assert way.status("plc") == "3 failed, 2 since corrected in plc2, 1 since corrected in plc3, none open"
    assert way.status("plc2") == "1 failed, 1 since corrected in plc3, none open"
    assert way.run("batch", "list", "--open") == (0, "No matching batches.\n")
    # Nothing is stored of that: a result that is undone opens it again.
    assert way.run("batch", "rollback", "plc3", "ingest", "--yes")[0] == 0
    assert way.status("plc") == "3 failed, 2 since corrected in plc2, 1 open"
    listed = json.loads(way.run("batch", "list", "--open", "--json")[1])
    assert [(one["id"], one["open"]) for one in listed] == [("plc2", 1), ("plc", 1)]
    assert "failed records         3 failed, 2 since corrected in plc2, 1 open" in way.run("batch", "show", "plc")[1]
    shown = json.loads(way.run("batch", "show", "plc2", "--json")[1])
    assert shown["corrections"] == {"failed": 1, "corrected": {}, "open": 1}
    assert shown["corrects"] == ["plc"]


def test_one_batch_corrects_several_and_counts_for_each(way: Way, source: Path) -> None:
    way.add("one", source)
    way.ingest("one", "2026.4")
    other = write_csv(way.folder / "other.csv", HEADER, ["Dish", "2026.9", "1", ""], ["Mug", "2026.10", "1", ""])
    way.add("two", other)
    way.ingest("two", "2026.9")
    rows = [*way.corrections("one"), *way.corrections("two")[1:]]
    rows[1][2] = "13"
    text = way.add("fix", write_csv(way.folder / "fix.csv", *rows), "--corrects", "one", "--corrects", "two")
    assert "It corrects one: 2 of its 2 failed records." in text
    assert "It corrects two: 1 of its 1 failed record." in text
    way.ingest("fix")
    assert way.status("one") == "2 failed, 2 since corrected in fix, none open"
    assert way.status("two") == "1 failed, 1 since corrected in fix, none open"


def test_an_identifier_is_known_again_however_its_letters_are_composed(way: Way, source: Path) -> None:
    source = write_csv(way.folder / "e.csv", HEADER, ["A", "Caf\u00e9 1", "1", ""], ["B", "Cafe\u0301 2", "1", ""])
    way.add("plc", source)
    way.ingest("plc", "Caf\u00e9 1", "Cafe\u0301 2")
    rows = [row.replace("\u00e9", "e\u0301") for row in source.read_text().splitlines()]
    way.add("plc2", write_csv(way.folder / "f.csv", *csv.reader(rows)), "--corrects", "plc")
    way.ingest("plc2")
    assert way.status("plc") == "2 failed, 2 since corrected in plc2, none open"


def test_a_correction_is_no_duplicate_of_what_failed_and_one_of_what_did_not(way: Way, source: Path) -> None:
    way.add("plc", source)
    way.ingest("plc", "2026.4", "2026.5")
    rows = way.corrections("plc")
    rows[1][2] = "13"
    again = [*rows[:4], ["Bowl", "2026.1", "12", "", "", "", "", ""]]
    way.add("plc2", write_csv(way.folder / "plc2.csv", *again), "--corrects", "plc")
    plc2 = get_batch("plc2")
    assert [(one.identifier, one.state) for one in find_duplicates(plc2)] == [("2026.1", "ingested")]
    _status, text = way.run("batch", "upload", "plc2", "--dry-run")
    assert (
        "2 failed records of plc, which plc2 corrects, still in the bucket: what is ingested late is created twice. To delete"
        " them first: manage.py batch clear plc"
    ) in text
    BatchRecord.objects.filter(batch=get_batch("plc"), identifier="2026.5").update(
        upload_outcome="uncertain", ingest_outcome=None
    )
    assert {one.identifier for one in find_duplicates(plc2)} == {"2026.1", "2026.5"}
    # For a batch that corrects nothing they are duplicates, as before.
    unlink_correction(plc2, get_batch("plc"))
    assert {one.identifier for one in find_duplicates(plc2)} == {"2026.1", "2026.4", "2026.5"}


def test_a_link_can_be_stated_later_and_taken_back(way: Way, source: Path) -> None:
    way.add("plc", source)
    way.ingest("plc", "2026.4")
    rows = way.corrections("plc")
    rows[1][2] = "13"
    way.add("plc2", write_csv(way.folder / "plc2.csv", *rows))
    way.ingest("plc2")
    assert way.status("plc") == "2 failed, 2 open"
    assert way.run("batch", "link", "plc2", "--corrects", "plc") == (
        0,
        "plc2 corrects plc: it has 2 failed records of it. plc: 2 failed, 2 since corrected in plc2, none open.\n",
    )
    assert way.run("batch", "link", "plc2", "--corrects", "plc", "--undo") == (
        0,
        "plc2 no longer corrects plc: 2 failed, 2 open.\n",
    )
    status, text = way.run("batch", "link", "plc2", "--corrects", "plc", "--undo")
    assert (status, text) == (1, "plc2 is not linked to plc. What it corrects: manage.py batch show plc2")


def test_links_never_form_a_circle_and_follow_from_each_other(shelf: Shelf) -> None:
    one, two, three, four = (shelf.batch(bid, f"id-{bid}") for bid in ("one", "two", "three", "four"))
    link_corrections(two, [one])
    link_corrections(four, [three])
    link_corrections(three, [two])
    pairs = set(Correction.objects.values_list("parent__bid", "child__bid", "direct"))
    assert pairs == {
        ("one", "two", True), ("two", "three", True), ("three", "four", True),
        ("one", "three", False), ("one", "four", False), ("two", "four", False),
    }  # fmt: skip
    for child, parent in ((one, four), (one, two), (one, one)):
        with pytest.raises(OperationRefused, match="can't correct"):
            link_corrections(child, [parent])
    link_corrections(four, [one])
    unlink_correction(three, two)
    pairs = set(Correction.objects.values_list("parent__bid", "child__bid", "direct"))
    assert pairs == {("one", "two", True), ("three", "four", True), ("one", "four", True)}
    media = shelf.batch("media", "m", rectype="media")
    with pytest.raises(OperationRefused, match="record type is collectionobject, that of media is media"):
        link_corrections(three, [one, media])
    assert set(Correction.objects.values_list("parent__bid", "child__bid", "direct")) == pairs


def test_a_correction_has_the_record_type_of_its_parent_and_a_wrong_one_is_refused_whole(
    way: Way, source: Path
) -> None:
    way.add("plc", source, "--rectype", "work")
    way.add("plc2", source, "--corrects", "plc")
    assert get_batch("plc2").rectype == "work"
    text = way.add("plc3", source, "--corrects", "plc", "--rectype", "media", status=1)
    assert "plc3 can't correct plc: its record type is media, that of plc is work." in text
    text = way.add("plc4", source, "--corrects", "nosuch", status=1)
    assert "There is no batch 'nosuch'" in text
    assert sorted(Batch.objects.values_list("bid", flat=True)) == ["plc", "plc2"]


def test_a_row_that_was_never_mapped_is_known_by_the_column_of_identifiers(way: Way, source: Path) -> None:
    way.add("plc", source)
    records = dict(get_batch("plc").records.values_list("row", "identifier"))
    assert records[2] == "2026.2"
    # Identifiers of authorities are made from their terms: no column has them.
    folder = map_csv(source, way.folder / "terms", "terms", identifier="Title (display)", wrong=_wrong_mass)
    report = (folder / "mapper_report.csv").read_text().replace("Bowl", "Bowl made")
    (folder / "mapper_report.csv").write_text(report)
    assert way.run("batch", "add", "terms", str(folder))[0] == 0
    assert get_batch("terms").records.get(row=2).identifier is None
    assert way.status("terms") == "1 failed, 1 open"


def test_failures_that_no_record_is_known_for_are_open(shelf: Shelf) -> None:
    imported = Batch.objects.create(
        bid="old", rectype="work", action="CREATE", status="ingested", map_errs=1, upload_errs=2, ingest_errs=4
    )
    unread = shelf.batch("unread", "a", "b")
    Batch.objects.filter(pk=unread.pk).update(status="ingested", ingest_errs=2)
    fine = shelf.batch("fine", "c")
    write_outcomes(fine, None)
    assert str(correction_status(imported)) == "7 failed, 7 open"
    assert str(correction_status(unread)) == "2 failed, 2 open"
    assert str(correction_status(fine)) == "no failed records"
    assert dict(batches_with_open(Batch.objects.all()).values_list("bid", "open_records")) == {
        "old": 7,
        "unread": 2,
        "fine": 0,
    }


@pytest.fixture
def viewer(client: Client) -> Client:
    user = User.objects.create_user("viewer")
    user.user_permissions.add(Permission.objects.get(codename="view_batch"))
    client.force_login(user)
    return client


def text_of(client: Client, url: str) -> str:
    html = client.get(url).content.decode().partition("<main")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("&#x27;", "'")


def test_pages_say_what_is_open_and_where_a_record_was_corrected(way: Way, source: Path, viewer: Client) -> None:
    way.add("plc", source)
    way.ingest("plc", "2026.4", "2026.5")
    rows = way.corrections("plc")
    rows[1][2] = "13"
    way.add("plc2", write_csv(way.folder / "plc2.csv", *rows), "--corrects", "plc")
    way.ingest("plc2", "2026.5")
    assert "3 failed, 2 since corrected in plc2 , 1 open ." in text_of(viewer, "/batches/plc/")
    assert "Corrects</dt>" in viewer.get("/batches/plc2/").content.decode()
    for query, identifiers in (("failed=open", {"2026.5"}), ("failed=corrected", {"2026.2", "2026.4"})):
        html = viewer.get(f"/batches/plc/?{query}").content.decode().partition('id="records"')[2]
        assert {
            name for name in ("2026.1", "2026.2", "2026.3", "2026.4", "2026.5") if f">{name}<" in html
        } == identifiers
    assert "plc2 ingested, with errors" in text_of(viewer, "/batches/?errors=open")
    corrected, again = text_of(viewer, "/batches/plc/records/4/"), text_of(viewer, "/batches/plc/records/5/")
    assert "Since corrected in batch plc2, row 2" in corrected
    assert "Since corrected" not in again
    assert "Batch plc2, row 3 Ingest failed corrects it 409 Client Error" in again
    assert "Batch plc, row 4 Ingest failed corrected by it" in text_of(viewer, "/batches/plc2/records/2/")
    never = text_of(viewer, "/batches/plc/records/2/")
    assert "mapping failed: unparseable_number: 'wrong' is not a number" in never
    assert "Title (display) =Vase" in never
    assert viewer.get("/batches/plc/records/99/").status_code == 404
    # The download is what the command writes, with a byte order mark.
    response = viewer.get("/batches/plc/corrections/?open=1&cause=409")
    text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    assert text == "\ufeff" + way.run("batch", "corrections", "plc", "--open", "--cause", "409")[1]
    assert response["Content-Disposition"] == 'attachment; filename="plc-corrections.csv"'


def test_what_stays_open_is_a_concern_after_a_set_time(way: Way, source: Path, settings: Settings) -> None:
    way.add("plc", source)
    way.ingest("plc", "2026.4")

    def concerns() -> dict[str, str]:
        return {concern.kind: concern.what for concern in batch_concerns()}

    assert concerns() == {"batch_errors": "1 record of batch plc did not ingest"}
    Batch.objects.update(ingest_done_at=timezone.now() - timedelta(days=15))
    assert concerns() == {"records_open": "2 failed records of 1 batch still open"}
    rows = way.corrections("plc")
    rows[1][2] = "13"
    way.add("plc2", write_csv(way.folder / "plc2.csv", *rows), "--corrects", "plc")
    way.ingest("plc2", "2026.4")
    assert concerns() == {
        "batch_errors": "1 record of batch plc2 did not ingest",
        "records_open": "1 failed record of 1 batch still open",
    }
    Batch.objects.update(ingest_done_at=timezone.now())
    assert concerns()["batch_errors"] in {
        "1 record of batch plc2 did not ingest",
        "1 record of batch plc did not ingest, 1 still open",
    }
    Batch.objects.update(ingest_done_at=timezone.now() - timedelta(days=15))
    settings.OPEN_RECORDS_DAYS = 0
    assert concerns() == {}
    settings.OPEN_RECORDS_DAYS = 14
    get_batch("plc").archive()
    get_batch("plc2").archive()
    assert concerns() == {}


def test_counting_what_is_open_takes_as_few_questions_for_many_batches(
    shelf: Shelf, django_assert_max_num_queries: Callable[[int], AbstractContextManager[object]]
) -> None:
    parents = [shelf.batch(f"p{number}", f"id {number}") for number in range(20)]
    BatchRecord.objects.update(ingest_outcome="failure")
    child = shelf.batch("child", *(f"id {number}" for number in range(15)))
    link_corrections(child, parents)
    child.records.update(ingest_outcome="success")
    with django_assert_max_num_queries(1):
        found = dict(batches_with_open(Batch.objects.exclude(pk=child.pk)).values_list("bid", "open_records"))
    assert found == {f"p{number}": int(number >= 15) for number in range(20)}
