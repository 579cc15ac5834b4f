"""The page that looks up a list: pasted, uploaded, with a column to choose, as CSV; of samples and of records."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

import openpyxl
import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client
from openpyxl.worksheet.worksheet import Worksheet

from batches.models import Batch, BatchRecord
from core.permissions import VIEWERS
from fnloader_site import samples
from loader.choices import LoadResult, ObjectState
from loader.models import BucketObject, Feed, Server

pytestmark = pytest.mark.django_db
WHEN = datetime(2026, 1, 31, 18, 25, 3, tzinfo=UTC)


@pytest.fixture(autouse=True)
def rows() -> None:
    server = Server.objects.create(identity="http://fn4", url="http://fn4")
    feed = Feed.objects.create(name="tb", server=server, store_url="file:///nowhere", store_digest="d")
    for number, result in enumerate((LoadResult.INSERTED, LoadResult.INVALID)):
        BucketObject.objects.create(
            feed=feed, name=f"s{number}.fasta", version=str(number), etag="e", size=1, created=WHEN, first_seen=WHEN,
            seqid=f"s{number}", state=ObjectState.LOADED, result=result, done_at=WHEN,
        )  # fmt: skip
    batch = Batch.objects.create(bid="plc", rectype="collectionobject", action="CREATE")
    BatchRecord.objects.create(
        batch=batch, row=1, key="k", key_digest="k", identifier="=1984", action="CREATE", upload_outcome="success",
        ingest_outcome="failure", ingest_message="409 exists",
    )  # fmt: skip


@pytest.fixture
def client() -> Client:
    one = User.objects.create_user("viewer")
    one.groups.add(Group.objects.get(name=VIEWERS))
    client = Client()
    client.force_login(one)
    return client


def words(response: HttpResponse) -> str:
    text = re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2])
    return re.sub(r"\s+", " ", text.replace("&#x27;", "'").replace("\N{EN DASH}", "-"))


def ask(client: Client, text: str = "", kind: str = "samples", **fields: object) -> HttpResponse:
    response = client.post("/samples/", {"kind": kind, "text": text, **fields})
    assert isinstance(response, HttpResponse)
    return response


def hidden(response: HttpResponse, name: str) -> str:
    match = re.search(rf'name="{name}" value="([^"]+)"', response.content.decode())
    assert match, name
    return match[1]


def workbook(rows: list[list[object]]) -> SimpleUploadedFile:
    book, file = openpyxl.Workbook(), io.BytesIO()
    assert isinstance(book.active, Worksheet)
    for row in rows:
        book.active.append(row)
    book.save(file)
    return SimpleUploadedFile("runs.xlsx", file.getvalue())


def exported(response: object) -> list[str]:
    assert isinstance(response, StreamingHttpResponse)
    text = b"".join(response).decode("utf-8-sig")
    return text.splitlines()


def test_a_pasted_list_is_answered_unknown_ones_first(client: Client) -> None:
    response = ask(client, "s0\nruns/s1.fasta\ns9\ns9\n")
    told = words(response)
    assert "1 of 3 are not in" in told
    assert "1 repeated id left out" in told
    assert re.search(
        r"s9 Unknown - - no file and no attempt .*runs/s1.fasta s1 In http://fn4 .*too many N.*s0 In", told
    )
    assert "/sample/?id=s1" in response.content.decode()


def test_all_are_in(client: Client) -> None:
    assert "All 2 are in" in words(ask(client, "s0,s1"))
    assert "It is in" in words(ask(client, "s0"))


def test_a_workbook_whose_column_is_not_clear_is_asked_about_and_then_answered(client: Client) -> None:
    file = workbook([["barcode", "place"], ["s0", "York 1"], ["s9", "Hull 2"]])
    step = ask(client, file=file)
    assert "Which column has the ids? Excel, sheet 'Sheet', 2 columns" in words(step)
    assert "s0, s9" in words(step)
    result = ask(client, packed=hidden(step, "packed"), column="1")
    assert "1 of 2 are not in Read from Excel, sheet 'Sheet', column 'barcode'" in words(result)
    again = ask(client, packed=hidden(result, "packed"), choose="1")
    assert "Which column has the ids?" in words(again)


def test_the_result_is_exported_from_the_page_with_all_its_rows(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "MAX_SHOWN", 1)
    result = ask(client, "guid,place\ns0,a\ns1,b\n=9,c\n")
    assert "The first 1 rows" in words(result)
    response = client.post("/samples/", {"kind": "samples", "ids": hidden(result, "ids"), "export": "csv"})
    lines = exported(response)
    assert lines[0] == "id,status,server,since,why,result,feed,file,known_as"
    assert lines[1].startswith("'=9,unknown,")
    assert [line.split(",")[0] for line in lines[2:]] == ["s1", "s0"]


def test_records_of_batches_are_found_and_exported(client: Client) -> None:
    result = ask(client, "=1984\nnone\n", kind="records")
    assert "2 of 2 are not ingested" in words(result)
    assert "=1984 Ingest failed plc 1 create 409 exists" in words(result)
    lines = exported(client.post("/samples/", {"kind": "records", "ids": hidden(result, "ids"), "export": "csv"}))
    assert [line.split(",")[0] for line in lines] == ["identifier", "none", "'=1984"]


def test_records_need_their_own_permission() -> None:
    one = User.objects.create_user("genomics")
    one.user_permissions.add(Permission.objects.get(content_type__app_label="loader", codename="view_bucketobject"))
    client = Client()
    client.force_login(one)
    assert "Records of batches" not in client.get("/samples/").content.decode()
    response = ask(client, "=1984", kind="records")
    assert (response.status_code, "409 exists" in response.content.decode()) == (400, False)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "Paste ids, or choose a file"),
        ({"text": " \n "}, "Paste ids, or choose a file"),
        ({"text": "s0\n", "column": "colour"}, "no column 'colour'"),
        ({"packed": "bm8gemxpYg=="}, "was cut off"),
        ({"packed": "%%%"}, "was cut off"),
        ({"ids": "eJw="}, "was cut off"),
        ({"text": "s0", "server": "http://nobody"}, "Select a valid choice"),
    ],
)
def test_what_can_not_be_looked_up_is_said_on_the_form(client: Client, fields: dict[str, str], why: str) -> None:
    response = ask(client, **{"text": "", **fields})
    assert (response.status_code, why in words(response)) == (400, True), words(response)


def test_a_large_upload_and_a_bomb_in_the_form_are_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MAX_BYTES", 1000)
    response = ask(client, file=SimpleUploadedFile("x.csv", b"s" * 1001))
    assert "The file is larger" in words(response)
    monkeypatch.setattr("core.id_lists.MAX_BYTES", 1000)
    assert "larger than" in words(ask(client, packed=samples.pack(b"s" * 1_000_000)))


def test_ids_that_no_page_of_ours_packed_are_no_error(client: Client) -> None:
    for forged in (b"s0\0\n", b"\xff\xfe\ns0", b"<script>\n" * 10, b"s" * 100_000):
        assert ask(client, ids=samples.pack(forged)).status_code == 200


def test_a_list_too_long_to_travel_asks_for_the_column_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MAX_PACKED", 10)
    response = ask(client, "barcode,place\ns0,York 1\n")
    assert "enter the one with the ids. Columns: barcode, place" in words(response)


def test_a_list_of_as_many_ids_as_allowed_can_be_pasted(client: Client) -> None:
    text = "\n".join(f"LEEDS-2026-{number:06}-TB-{number * 7919 % 999983:06}" for number in range(100_000))
    result = ask(client, text)
    assert "100,000 of 100,000 are not in" in words(result)
    assert (
        len(exported(client.post("/samples/", {"kind": "samples", "ids": hidden(result, "ids"), "export": "csv"})))
        == 100_001
    )
