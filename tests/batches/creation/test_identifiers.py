"""What people take for one identifier is one, wherever it is looked for; a key stays byte for byte what it was."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from batches.keys import decode, encode
from batches.models import Batch, BatchRecord
from batches.upload.duplicates import find_duplicates
from tests.support.tracking_csv import NOT_UPLOADED, WILD, take, tracking

pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]
PLAIN = "Müller 1"
SPELLINGS = [
    PLAIN,
    unicodedata.normalize("NFD", PLAIN),
    "Müller\u00a01",
    " Müller 1\u00a0",
    "\ufeffMüller 1",
    "Mü\u200bller\u00ad 1\u200e",
    "Mu\u2060\u0308ller 1",
]


def mapped(folder: Path, bid: str, *identifiers: str, actions: tuple[str, ...] = ()) -> Path:
    """A batch folder with a record for each identifier."""
    folder.mkdir()
    lines = ["cmt_outcome,cmt_output_file,cmt_s3_key"]
    for number, identifier in enumerate(identifiers):
        action = actions[number] if actions else "CREATE"
        lines.append(f"success,{number}.xml,{encode(bid, '/collectionobjects', identifier, action)}")
        (folder / f"{number}.xml").write_text("<r/>")
    (folder / "mapper_report.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_key_made_from_a_file_name_is_composed_and_two_spellings_are_one(tmp_path: Path, run: Run) -> None:
    (tmp_path / unicodedata.normalize("NFD", "Česká 7.xml")).write_text("<r/>")
    assert run("batch", "add", "plc", str(tmp_path))[0] == 0
    record = BatchRecord.objects.get()
    assert (record.identifier, decode(record.key or "").identifier, record.identifier_norm) == (
        "Česká 7",
        "Česká 7",
        None,
    )
    (tmp_path / "Česká 7.xml").write_text("<r/>")
    status, said = run("batch", "add", "mat", str(tmp_path))
    assert (status, "row 2: the identifier 'Česká 7' is also in row 1" in said) == (1, True), said


@pytest.fixture
def batches(tmp_path: Path, run: Run) -> list[str]:
    """A batch for each spelling, which has another record, too."""
    bids = [f"b{number}" for number in range(len(SPELLINGS))]
    for bid, spelling in zip(bids, SPELLINGS, strict=True):
        assert run("batch", "add", bid, str(mapped(tmp_path / bid, bid, f"{bid} only", spelling)))[0] == 0
        record = BatchRecord.objects.get(batch__bid=bid, row=2)
        assert (record.identifier, decode(record.key or "").identifier) == (spelling, spelling)
    return bids


def test_duplicates_are_found_in_every_spelling(batches: list[str]) -> None:
    for bid, spelling in zip(batches, SPELLINGS, strict=True):
        found = list(find_duplicates(Batch.objects.get(bid=bid)))
        assert [duplicate.other for duplicate in found] == [other for other in batches if other != bid]
        assert {(duplicate.row, duplicate.identifier, duplicate.other_row) for duplicate in found} == {(2, spelling, 2)}


@pytest.mark.parametrize("asked", [*SPELLINGS[:3], SPELLINGS[5], "Mü", unicodedata.normalize("NFD", "Mül")], ids=ascii)
def test_search_and_filter_find_every_spelling(batches: list[str], admin_client: Client, asked: str) -> None:
    page = admin_client.get(reverse("search"), {"q": asked})
    assert sorted(record.batch.bid for record in page.context["records"]) == batches
    for bid in batches[:2]:
        page = admin_client.get(reverse("batches:batch", args=[bid]), {"q": asked})
        assert [row.record.row for row in page.context["table"].rows] == [2]


def test_two_spellings_in_a_batch_are_refused_unless_they_were_sent_already(tmp_path: Path, run: Run) -> None:
    folder = mapped(tmp_path / "plc", "plc", *SPELLINGS[:2])
    status, said = run("batch", "add", "plc", str(folder))
    assert (status, "is also in row 1, as 'M\\xfcller 1': people see no difference" in said) == (1, True), said
    row = WILD | NOT_UPLOADED | {"dir": "plc", "batch_status": "uploaded", "rec_ct": ""}
    (one,) = take(tracking(tmp_path / "batches.csv", row))
    assert (one.imported.records, "people see no difference" in one.notes[0]) == (2, True)


def test_records_of_before_get_their_comparison_form(tmp_path: Path, run: Run) -> None:
    run("batch", "add", "plc", str(mapped(tmp_path / "plc", "plc", SPELLINGS[1], "plain")))
    BatchRecord.objects.update(identifier_norm=None)
    import_module("batches.migrations.0009_fill_identifier_norm").fill(apps, None)
    assert list(BatchRecord.objects.order_by("row").values_list("identifier_norm", flat=True)) == [PLAIN, None]


MIXED = ("UPDATE", "CREATE", "CREATE")


@pytest.mark.parametrize(
    ("options", "action"), [((), "CREATE"), (("--action", "create"), "CREATE"), (("--action", "update"), "UPDATE")]
)
def test_a_batch_with_several_actions_keeps_its_own_and_shows_them_all(
    tmp_path: Path, run: Run, admin_client: Client, options: tuple[str, ...], action: str
) -> None:
    folder = mapped(tmp_path / "plc", "plc", "a", "b", "c", actions=MIXED)
    status, said = run("batch", "add", "plc", str(folder), *options)
    assert (status, f"3 records to {action.lower()} (2 create, 1 update), 3 to send" in said) == (0, True), said
    assert Batch.objects.get().action == action
    assert tuple(BatchRecord.objects.order_by("row").values_list("action", flat=True)) == MIXED
    assert "actions                2 create, 1 update" in run("batch", "show", "plc")[1]
    assert json.loads(run("batch", "show", "plc", "--json")[1])["actions"] == {"CREATE": 2, "UPDATE": 1}
    assert "2 create, 1 update" in admin_client.get(reverse("batches:batch", args=["plc"])).content.decode()
    # Only what is created can be created twice.
    run("batch", "add", "old", str(mapped(tmp_path / "old", "old", "a", "b", actions=("CREATE", "CREATE"))))
    assert [duplicate.identifier for duplicate in find_duplicates(Batch.objects.get(bid="plc"))] == ["b"]
    assert [duplicate.identifier for duplicate in find_duplicates(Batch.objects.get(bid="old"))] == ["b"]


def test_an_imported_batch_keeps_the_action_of_its_row(tmp_path: Path, run: Run) -> None:
    mapped(tmp_path / "plc", "plc", "a", "b", "c", actions=MIXED)
    row = WILD | NOT_UPLOADED | {"dir": "plc", "batch_status": "mapped", "rec_ct": ""}
    (one,) = take(tracking(tmp_path / "batches.csv", row | {"action": "update"}))
    assert one.notes == ["action is update; by their keys: 2 create, 1 update"]
    assert Batch.objects.get().action == "UPDATE"
