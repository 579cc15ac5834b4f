"""`batch add`: a batch from a folder, all of it or nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batches.creation.add import AddSummary, add_batch
from batches.keys import encode
from batches.models import Batch, BatchRecord
from core.exceptions import OperationRefused

if TYPE_CHECKING:
    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]

HEADER = [
    "objectNumber",
    "cmt_rec_status",
    "cmt_outcome",
    "cmt_output_file",
    "cmt_s3_key",
    "cmt_warnings",
    "cmt_errors",
]


def added(bid: str, folder: Path, action: str | None = None, *patterns: str) -> tuple[Batch, AddSummary]:
    return add_batch(
        bid,
        folder,
        rectype="collectionobject",
        action=action,
        path="/collectionobjects",
        who="me",
        patterns=patterns,
    )


def key(identifier: str, action: str = "CREATE", bid: str = "plc") -> str:
    return encode(bid, "/collectionobjects", identifier, action)


def report(folder: Path, rows: list[list[str]], header: list[str] = HEADER) -> Path:
    with (folder / "mapper_report.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    for row in rows:
        if len(row) > 3 and row[3]:
            (folder / row[3]).write_text("<r/>")
    return folder


def row(identifier: str, action: str = "CREATE", bid: str = "plc") -> list[str]:
    return [identifier, "new", "success", f"{identifier}.xml", key(identifier, action, bid), "", ""]


def records() -> list[tuple[Any, ...]]:
    wanted = ("row", "identifier", "file", "upload_outcome")
    return list(BatchRecord.objects.order_by("row").values_list(*wanted))


@pytest.mark.django_db
def test_each_file_of_a_plain_folder_is_a_record_in_byte_order(tmp_path: Path) -> None:
    for name in ("b.xml", "a.1.xml", "A.xml", ".hidden", "é.xml", "upload_report.csv"):
        (tmp_path / name).write_text("<r/>")
    (tmp_path / "sub").mkdir()
    batch, numbers = added("plc", tmp_path, action="UPDATE")
    assert records() == [
        (1, "A", "A.xml", "pending"),
        (2, "a.1", "a.1.xml", "pending"),
        (3, "b", "b.xml", "pending"),
        (4, "é", "é.xml", "pending"),
    ]
    one = BatchRecord.objects.get(row=2)
    assert (one.key, one.action, one.path, one.size) == (key("a.1", "UPDATE"), "UPDATE", "/collectionobjects", 4)
    batch.refresh_from_db()
    assert (batch.status, batch.action, batch.record_count, batch.host) == ("added", "UPDATE", 4, "test-host")
    assert (numbers.records, numbers.sendable) == (4, 4)


@pytest.mark.django_db
def test_two_files_with_one_identifier_are_named_and_refused(tmp_path: Path) -> None:
    for name in ("a.xml", "a.json", "b.xml"):
        (tmp_path / name).write_text("<r/>")
    with pytest.raises(OperationRefused, match="row 2: the identifier 'a' is also in row 1"):
        added("plc", tmp_path, None, "*.xml", "*.json")
    assert not Batch.objects.exists()


@pytest.mark.django_db
def test_a_mappers_report_keeps_every_row_with_its_outcome(tmp_path: Path) -> None:
    rows = [
        row("A"),
        ["B", "new", "failure", "", "", "", "no"],
        row("C"),
        ["D", "new", "success", "", key("D"), "w", ""],
    ]
    report(tmp_path, rows)
    (tmp_path / "C.xml").unlink()
    batch, numbers = added("plc", tmp_path)
    assert records() == [
        (1, "A", "A.xml", "pending"),
        (2, "B", None, "skip"),
        (3, "C", "C.xml", "unuploadable"),
        (4, "D", None, "unuploadable"),
    ]
    batch.refresh_from_db()
    assert (batch.status, batch.map_oks, batch.map_errs, batch.map_warns) == ("mapped", 3, 1, 1)
    assert batch.mapped_at is not None
    assert json.loads(batch.source_columns) == HEADER
    assert json.loads(BatchRecord.objects.get(row=2).source) == rows[1]
    assert (numbers.sendable, numbers.unuploadable) == (1, 2)


@pytest.mark.django_db
def test_the_action_is_what_the_keys_say(tmp_path: Path) -> None:
    report(tmp_path, [row("A", "DELETE")])
    assert added("plc", tmp_path)[0].action == "DELETE"
    assert BatchRecord.objects.get().action == "DELETE"


@pytest.mark.django_db
def test_a_folder_that_was_moved_after_mapping_is_found_again(tmp_path: Path) -> None:
    report(tmp_path, [row("A")])
    text = (tmp_path / "mapper_report.csv").read_text().replace("A.xml", "/data/old/place/A.xml")
    (tmp_path / "mapper_report.csv").write_text(text)
    added("plc", tmp_path)
    assert records() == [(1, "A", "A.xml", "pending")]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("A"), row("B", bid="mat")], "row 2 (line 3): the key is of batch 'mat', this batch is 'plc'"),
        ([row("A"), row("A")], "row 2: the identifier 'A' is also in row 1"),
        ([["A", "new", "success", "A.xml", "YTF8____", "", ""]], "row 1 (line 2): cmt_s3_key 'YTF8____'"),
        ([["A", "new", "done", "A.xml", key("A"), "", ""]], "row 1 (line 2): cmt_outcome is 'done'"),
        ([row("A"), ["x\ny", "z"]], "row 2 (line 4): cmt_outcome is ''"),
        ([row("A"), [*row("B"), "", "z"]], "row 2 (line 3): 9 values, but 7 columns in the header"),
    ],
)
@pytest.mark.django_db
def test_a_row_that_is_wrong_is_named_and_nothing_is_added(tmp_path: Path, rows: list[list[str]], said: str) -> None:
    report(tmp_path, rows)
    with pytest.raises(OperationRefused) as error:
        added("plc", tmp_path)
    assert said in str(error.value)
    assert not Batch.objects.exists()
    assert not BatchRecord.objects.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n".encode("utf-16"), "column cmt_outcome, cmt_output_file, cmt_s3_key is missing"),
        (
            b"cmt_outcome,cmt_output_file,cmt_s3_key\nsuccess,a.xml,\nsuccess,caf\xe9.xml,\n",
            "row 2 (line 3): byte 0xe9",
        ),
        (b"title,cmt_outcome\nx,success\n", "column cmt_output_file, cmt_s3_key is missing"),
        (b"cmt_outcome,cmt_output_file,cmt_s3_key,a,a\n", "more than one column a"),
        (
            b'cmt_outcome,cmt_output_file,cmt_s3_key\nsuccess,"a.xml,\n',
            "line 2: a quote is opened in this row and never closed",
        ),
        (b"cmt_outcome,cmt_output_file,cmt_s3_key\nsuccess,\0,\n", "NUL"),
        (b"", "cmt_s3_key is missing"),
        (b"cmt_outcome,cmt_output_file,cmt_s3_key\r\n", "contains no records"),
    ],
)
@pytest.mark.django_db
def test_a_report_that_is_no_clean_utf8_csv_is_refused_clearly(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "mapper_report.csv").write_bytes(content)
    with pytest.raises(OperationRefused) as error:
        added("plc", tmp_path)
    assert said in str(error.value)
    assert not Batch.objects.exists()


@pytest.mark.django_db
def test_a_key_or_name_that_is_too_long_is_kept_as_unuploadable(tmp_path: Path) -> None:
    report(tmp_path, [["A", "new", "success", "A.xml", "x" * 1028, "", ""]])
    added("plc", tmp_path)
    one = BatchRecord.objects.get()
    assert (one.key, one.upload_outcome, one.upload_message) == (
        None,
        "unuploadable",
        "the key has 1028 bytes, at most 1024 are allowed",
    )


@pytest.mark.parametrize("bid", ["", "toolong", "a-b", "é", "a b"])
@pytest.mark.django_db
def test_an_id_is_1_to_6_letters_and_digits(tmp_path: Path, bid: str) -> None:
    with pytest.raises(OperationRefused, match="1 to 6 letters and digits"):
        added(bid, tmp_path)


@pytest.mark.django_db
def test_an_id_is_taken_once_and_its_case_counts(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<r/>")
    added("plc", tmp_path)
    added("PLC", tmp_path)
    with pytest.raises(OperationRefused, match="Batch plc already exists"):
        added("plc", tmp_path)


def test_the_command_adds_thousands_of_rows_whole_or_not_at_all(site: BatchSite, tmp_path: Path) -> None:
    report(tmp_path, [])
    with (tmp_path / "mapper_report.csv").open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([f"A{n}", "new", "success", "A.xml", key(f"A{n}"), "", ""] for n in range(3_000))
    (tmp_path / "A.xml").write_text("<r/>")
    words = ("batch", "add", "plc", str(tmp_path))
    dry = site(*words, "--dry-run")
    assert dry.stdout == (
        "plc would be added: 3,000 records to create, 3,000 to send, 0 unuploadable, 0 mapping errors.\n"
    )
    assert site.manage.rows("select count(*) from batches_batch") == [(0,)]
    result = site(*words)
    assert result.returncode == 0, result.stderr
    assert site.manage.rows(
        "select count(*), max(row_number) from (select row as row_number from batches_batchrecord) r"
    ) == [(3_000, 3_000)]
    assert site(*words).returncode == 1
    assert site("batch", "add", "x", str(tmp_path), "--action", "merge").returncode == 2
    assert site("batch", "add", "x", str(tmp_path / "nowhere")).returncode == 1
