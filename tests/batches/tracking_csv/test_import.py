"""A tracking CSV as it is found in the wild is taken in, whole or not at all per batch, and given back as it was."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from batches.lifecycle.archive import archive
from batches.models import Batch, BatchRecord, BatchStep
from batches.tracking_csv.columns import NAMES
from batches.tracking_csv.importer import RowOutcome
from core.exceptions import OperationRefused
from tests.support.tracking_csv import MAPPER, NOT_UPLOADED, WILD, folder, key, take, tracking

pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]


def test_every_column_is_taken_in_whatever_spelling(tmp_path: Path, settings: Settings) -> None:
    settings.TIME_ZONE = "America/New_York"
    folder(tmp_path)
    (one,) = take(tracking(tmp_path / "batches.csv", WILD))
    assert (one.outcome, one.notes, one.imported.records) == (RowOutcome.CREATED, [], 4)
    batch = Batch.objects.get()
    assert (batch.bid, batch.status, batch.action, batch.rectype, batch.mode) == (
        "plc",
        "ingested",
        "CREATE",
        "place-local",
        "full record",
    )
    assert batch.mapped_at == datetime(2024, 9, 11, 22, 25, tzinfo=UTC)
    assert batch.uploaded_at == datetime(2024, 9, 11, 21, 35, tzinfo=UTC)
    assert batch.ingest_start_time == datetime(2024, 9, 11, 21, 26, 17, 612_000, tzinfo=UTC)
    assert batch.ingest_duration == timedelta(hours=28, seconds=0.501), "the times say it better"
    assert (batch.record_count, batch.missing_terms, batch.duplicates, batch.ingest_oks) == (4, 7, None, 1)
    assert batch.folder == str(tmp_path / "plc_1")
    assert BatchStep.objects.get().touched == 4


def test_each_record_has_the_outcomes_of_all_three_reports(tmp_path: Path) -> None:
    folder(tmp_path)
    take(tracking(tmp_path / "batches.csv", WILD))
    columns = ("row", "identifier", "upload_outcome", "upload_message", "ingest_outcome", "ingest_message")
    assert list(BatchRecord.objects.order_by("row").values_list(*columns)) == [
        (1, "in", "success", None, "success", None),
        (2, "left", "success", None, "failure", "409 Client Error"),
        (3, "none", "failure", "403", "failure", "not uploaded"),
        (4, "bad", "skip", "not mapped", "skip", None),
    ]
    assert json.loads(Batch.objects.get().source_columns) == MAPPER


@pytest.mark.parametrize(
    ("head", "end", "delimiter"), [("\ufeff", "\r\n", ","), ("", "\n", ";"), ("\ufeff", "\r\n", "\t")]
)
def test_files_of_other_programs_are_read(tmp_path: Path, head: str, end: str, delimiter: str) -> None:
    folder(tmp_path)
    shuffled = [*reversed(NAMES[:-4])]  # older files lack newer columns
    path = tracking(tmp_path / "b.csv", WILD, names=shuffled, delimiter=delimiter, head=head, end=end)
    (one,) = take(path, delimiter=delimiter)
    assert (one.outcome, one.notes) == (RowOutcome.CREATED, [])
    assert Batch.objects.get().ingest_oks == 1, "as in the report"


def test_an_export_gives_back_what_was_found_to_the_byte_and_an_import_of_it_changes_nothing(
    tmp_path: Path, run: Run
) -> None:
    folder(tmp_path)
    odd = WILD | {"id": "odd", "mapped?": "yes", "rec_ct": "04", "dir": "", "batch_status": "", "duplicates": "many"}
    path = tracking(tmp_path / "batches.csv", WILD, odd)
    status, said = run("batch", "import", str(path))
    assert status == 0, said
    assert "mapped?: 'yes' is not a time such as 2024-09-11_18_25" in said
    assert "duplicates: 'many' is not a whole number" in said
    exported = tmp_path / "exported.csv"
    assert run("batch", "export", str(exported)) == (0, f"2 batches written to {exported}.\n")
    assert exported.read_bytes() == path.read_bytes()
    assert run("batch", "export")[1] == path.read_text()
    before = list(Batch.objects.values()), list(BatchRecord.objects.values())
    assert run("batch", "import", str(exported))[1].endswith("2 unchanged; 0 records imported.\n")
    assert (list(Batch.objects.values()), list(BatchRecord.objects.values())) == before


def test_what_was_made_here_survives_the_way_out_and_in(tmp_path: Path, run: Run, settings: Settings) -> None:
    settings.TIME_ZONE = "Europe/London"
    twice = datetime(2024, 10, 27, 1, 30, tzinfo=UTC)  # the second 01:30 of that night
    Batch.objects.create(
        bid="plc", rectype="place", action="UPDATE", status="uploaded", mapped_at=twice - timedelta(hours=1), uploaded_at=twice,
        ingest_start_time=datetime(2024, 7, 1, 12, 0, 0, 999_999, tzinfo=UTC), ingest_duration=timedelta(hours=99, seconds=1),
    )  # fmt: skip
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    run("batch", "export", str(first))
    assert run("batch", "import", str(first))[1].endswith("1 unchanged; 0 records imported.\n")
    before = Batch.objects.values("mapped_at", "uploaded_at", "ingest_duration", "status").get()
    Batch.objects.all().delete()
    run("batch", "import", str(first))
    assert Batch.objects.values("mapped_at", "uploaded_at", "ingest_duration", "status").get() == before
    run("batch", "export", str(second))
    assert first.read_bytes() == second.read_bytes()


def test_a_cell_whose_value_has_changed_here_is_spelled_anew(tmp_path: Path, run: Run) -> None:
    folder(tmp_path)
    take(tracking(tmp_path / "batches.csv", WILD))
    Batch.objects.update(mapped_at=datetime(2025, 1, 2, 3, 4, tzinfo=UTC), ingest_start_time=None)
    (row,) = csv.DictReader(run("batch", "export")[1].splitlines())
    assert (row["mapped?"], row["ingest_start_time"]) == ("2025-01-02_03_04", "")
    assert row["uploaded?"] == "2024-09-11 17_35"


def test_a_batch_that_was_only_imported_follows_its_file_and_its_reports(tmp_path: Path) -> None:
    made = folder(tmp_path)
    take(tracking(tmp_path / "batches.csv", WILD))
    path = tracking(tmp_path / "batches.csv", WILD | {"missing_terms": "8"})
    assert [one.outcome for one in take(path)] == [RowOutcome.UPDATED]
    assert Batch.objects.get().missing_terms == 8
    report = made / "ingest_report.csv"
    report.write_text(report.read_text().replace("409 Client Error", "500 Server Error"))
    assert [one.outcome for one in take(path)] == [RowOutcome.UPDATED]
    assert BatchRecord.objects.get(row=2).ingest_message == "500 Server Error"
    assert BatchRecord.objects.count() == 4
    assert [one.outcome for one in take(path)] == [RowOutcome.UNCHANGED]


def test_a_batch_with_a_life_of_its_own_stays_as_it_is(tmp_path: Path) -> None:
    folder(tmp_path)
    path = tracking(tmp_path / "batches.csv", WILD)
    take(path)
    archive(Batch.objects.get(), who="me")
    assert [one.outcome for one in take(path)] == [RowOutcome.UNCHANGED]
    (one,) = take(tracking(path, WILD | {"rec_ct": "5"}))
    assert one.outcome is RowOutcome.REJECTED
    assert "rec_ct: '5' in the file, '4' here" in one.notes[0]
    assert Batch.objects.get().record_count == 4


def test_each_batch_is_taken_whole_or_not_at_all_and_each_refusal_has_its_reason(tmp_path: Path, run: Run) -> None:
    for bid in ("a", "b", "c"):
        folder(tmp_path, bid, bid)
    report = tmp_path / "b" / "ingest_report.csv"
    report.write_text(report.read_text().replace(",skip,\n", ",maybe,\n").replace(",skip,\r\n", ",maybe,\r\n"))
    rows = [WILD | {"id": bid, "dir": bid, "batch_prefix": ""} for bid in ("a", "b", "c", "a", "no id")]
    path = tracking(tmp_path / "batches.csv", *rows, WILD | {"id": "d", "action": "merge"})
    with path.open("a") as file:
        file.write("e,far,too,many" + "x," * 30 + "\n")
    status, said = run("batch", "import", str(path))
    assert status == 1
    assert sorted(Batch.objects.values_list("bid", flat=True)) == ["a", "c"]
    assert BatchRecord.objects.count() == 8
    assert "line 3: b rejected" in said
    assert "row 4 (line 5): CMT_ingest_status is 'maybe'" in said
    assert "the id is also in line 2" in said
    assert "'no id' is not a batch id" in said
    assert "the action is 'merge', expected create, update or delete" in said
    assert "34 values, but 25 columns in the header" in said
    assert said.endswith("2 created, 5 rejected; 8 records imported.\n")


def test_a_dry_run_says_it_all_and_keeps_nothing(tmp_path: Path, run: Run) -> None:
    folder(tmp_path)
    path = tracking(tmp_path / "batches.csv", WILD)
    status, said = run("batch", "import", str(path), "--dry-run")
    assert (status, said.splitlines()[-1]) == (0, "Dry run, nothing is imported: 1 created; 4 records imported.")
    assert not Batch.objects.exists()


def test_folders_are_found_where_the_file_says_or_where_they_are_said_to_be(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder(elsewhere)
    path = tracking(tmp_path / "batches.csv", WILD | {"dir": "/old/place/plc_1"})
    (one,) = take(path)
    assert "folder '/old/place/plc_1' not found: no records imported (use --batch-dir" in one.notes[0]
    (one,) = take(path, folders=str(elsewhere))
    assert (one.outcome, one.imported.records) == (RowOutcome.UPDATED, 4)
    assert Batch.objects.get().folder == str(elsewhere / "plc_1")
    assert [one.outcome for one in take(path, folders=str(elsewhere))] == [RowOutcome.UNCHANGED]


def test_records_stay_when_their_folder_is_not_to_be_found_any_more(tmp_path: Path) -> None:
    made = folder(tmp_path)
    path = tracking(tmp_path / "batches.csv", WILD)
    take(path)
    (made / "mapper_report.csv").rename(tmp_path / "kept.csv")
    for report in made.iterdir():
        report.unlink()
    assert [one.outcome for one in take(path)] == [RowOutcome.UNCHANGED]
    made.rmdir()
    assert [one.outcome for one in take(path)] == [RowOutcome.UNCHANGED]
    (one,) = take(tracking(path, WILD | {"missing_terms": "9"}))
    assert (one.outcome, one.notes) == (
        RowOutcome.UPDATED,
        ["no reports in its folder ('plc_1'): its records are not changed"],
    )
    batch = Batch.objects.get()
    assert (batch.missing_terms, batch.records.count(), batch.folder) == (9, 4, str(made))
    folder(tmp_path)
    assert [one.outcome for one in take(path)] == [RowOutcome.UNCHANGED], "it is what was taken from it"


def test_without_an_upload_report_nothing_is_made_up_that_could_be_sent_twice(tmp_path: Path) -> None:
    for bid in ("all", "some", "none"):
        for name in ("upload_report.csv", "ingest_report.csv"):
            (folder(tmp_path, bid, bid) if not (tmp_path / bid).exists() else tmp_path / bid).joinpath(name).unlink()
    row = WILD | {"batch_status": "uploaded", "batch_prefix": "", "ingest_done?": ""}
    rows = [row | {"id": bid, "dir": bid} for bid in ("all", "some")]
    rows[0]["upload_oks"] = "3"
    rows.append(row | {"id": "none", "dir": "none", "batch_status": "mapped"} | NOT_UPLOADED)
    take(tracking(tmp_path / "batches.csv", *rows))

    def outcomes(bid: str) -> list[str]:
        records = BatchRecord.objects.filter(batch__bid=bid).order_by("row")
        return list(records.values_list("upload_outcome", flat=True))

    assert outcomes("all") == ["success", "success", "success", "skip"]
    assert outcomes("some") == ["uncertain", "uncertain", "uncertain", "skip"]
    assert outcomes("none") == ["unuploadable", "unuploadable", "unuploadable", "skip"]


def test_an_ingest_without_errors_needs_no_report(tmp_path: Path) -> None:
    (folder(tmp_path) / "ingest_report.csv").unlink()
    take(tracking(tmp_path / "batches.csv", WILD | {"ingest_errs": "0", "ingest_oks": "2"}))
    outcomes = BatchRecord.objects.order_by("row").values_list("ingest_outcome", flat=True)
    assert list(outcomes) == ["success", "success", "failure", "skip"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id:action\nplc:create\n", "Its header has no ',': use --delimiter"),
        ("id,action\n".encode("utf-16")[:-1], "is not valid utf-16; it may be cut off"),
        ("id,action\n".encode("utf-16-le"), "If it is UTF-16: use --encoding utf-16-le or utf-16-be"),
        (b"id,action,caf\xe9\n", "header: byte 0xe9 is not UTF-8: use --encoding cp1252 ('caf\u00e9')"),
        (b"id,Action,ACTION \n", "more than one column action"),
        (b'id,action\nplc,"create\n', "line 2: a quote is opened in this row and never closed"),
        (b"", "column id, action is missing"),
        (b"id,action,id\n", "more than one column id"),
    ],
)
def test_a_file_that_is_no_batches_csv_is_refused_as_a_whole(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "batches.csv"
    path.write_bytes(content)
    with pytest.raises(OperationRefused) as error:
        take(path)
    assert said in str(error.value)


def test_a_file_that_is_not_there_and_columns_that_nobody_knows_are_said(tmp_path: Path, run: Run) -> None:
    status, said = run("batch", "import", str(tmp_path / "none.csv"))
    assert (status, "No such file" in said) == (1, True)
    path = tracking(tmp_path / "batches.csv", WILD | {"colour": "red"}, names=[*NAMES, "colour"])
    status, said = run("batch", "import", str(path))
    assert (status, said.splitlines()[0]) == (0, "Unknown columns are ignored: colour")
    assert (
        "invalid delimiter 'ab': use one character, or tab" in run("batch", "import", str(path), "--delimiter", "ab")[1]
    )


def test_archived_batches_are_exported_only_when_asked_for(run: Run) -> None:
    for bid in ("here", "away"):
        Batch.objects.create(bid=bid, action="CREATE", archived_at=timezone.now() if bid == "away" else None)

    def ids(*options: str) -> list[str]:
        return [row["id"] for row in csv.DictReader(run("batch", "export", *options)[1].splitlines())]

    assert (ids(), ids("--archived"), ids("--all")) == (["here"], ["away"], ["here", "away"])


NASTY = [
    "",
    " ",
    "é ☃ \U0001f600",
    "=1+1",
    '"quoted", text',
    "line\nbreak",
    "2024-02-30_10_10",
    "0000-00-00 00:00",
    "9999-12-31 23:59:59.999",
    "0001-01-01_00_00",
    "2024-03-31_01_30",
    "2024-10-27_01_30",
    "2024-10-27 01:30:00.000 +0000",
    "2024-09-11 17:26:17.6",
    " 2024-09-11 17_35 ",
    "2024-09-11T17:26:17Z",
    "99999999999",
    "-1",
    "1e5",
    "007",
    "٣",
    "x" * 2000,
    "-00:00:05",
    "100:00:00",
    "1:2:3",
    "Ingested",
    "/nowhere/" + "y" * 300,
]


def test_whatever_cells_hold_an_export_gives_it_back_and_its_import_changes_nothing(
    tmp_path: Path, run: Run, settings: Settings
) -> None:
    settings.TIME_ZONE = "Europe/London"
    chance = random.Random(3)
    free = [name for name in NAMES if name not in ("id", "action")]
    rows = [
        {"id": f"b{number}", "action": chance.choice(["create", "UPDATE", "Delete "])}
        | {name: chance.choice(NASTY) for name in free}
        for number in range(150)
    ]
    path, exported = tracking(tmp_path / "batches.csv", *rows), tmp_path / "exported.csv"
    status, said = run("batch", "import", str(path))
    assert (status, said.splitlines()[-1]) == (0, "150 created; 0 records imported."), said[-3000:]
    run("batch", "export", str(exported))
    assert exported.read_bytes() == path.read_bytes()
    before = list(Batch.objects.order_by("bid").values())
    assert run("batch", "import", str(exported))[1].endswith("150 unchanged; 0 records imported.\n")
    Batch.objects.all().delete()
    run("batch", "import", str(exported))
    again = list(Batch.objects.order_by("bid").values())
    own = {"id", "added_at"}
    assert [{k: v for k, v in one.items() if k not in own} for one in again] == [
        {k: v for k, v in one.items() if k not in own} for one in before
    ]


def test_a_message_that_is_cut_and_rows_that_are_nobodys_are_reported(tmp_path: Path) -> None:
    report = folder(tmp_path) / "ingest_report.csv"
    text = report.read_text().replace("409 Client Error", "no " * 500)
    report.write_text(text + f"stray,,new,success,s.xml,{key('stray')},,,success,,success,\n")
    (one,) = take(tracking(tmp_path / "batches.csv", WILD))
    assert one.notes == [
        "1 messages of ingest_report.csv are longer than 1000 characters: truncated",
        "1 rows of ingest_report.csv match none of its records (row 5)",
    ]
    assert len(BatchRecord.objects.get(row=2).ingest_message or "") == 1000


def test_an_imported_batch_goes_on_from_where_it_was(tmp_path: Path, run: Run, settings: Settings) -> None:
    store = tmp_path / "store"
    store.mkdir()
    settings.BATCH_STORE_URL = store.as_uri()
    made = folder(tmp_path)
    for name in ("in", "left", "none"):
        (made / f"{name}.xml").write_text("<xml/>")
        if name != "none":
            (made / f"{'upload' if name == 'in' else 'ingest'}_report.csv").unlink()
    mapped = WILD | {"batch_status": "mapped"} | NOT_UPLOADED
    empty = mapped | {"id": "empty", "dir": "nowhere", "batch_prefix": ""}
    (one, _) = take(tracking(tmp_path / "batches.csv", mapped, empty))
    assert one.notes == []
    assert run("batch", "upload", "plc")[0] == 0
    assert len(list(store.iterdir())) == 3
    status, said = run("batch", "upload", "empty")
    assert (status, "has no records here" in said, "--batch-dir" in said) == (1, True, True)


def damaged(chance: random.Random, content: bytes) -> bytes:
    """The file with something cut out, put in, changed or cut off."""
    raw, at = bytearray(content), chance.randrange(len(content))
    match chance.randrange(4):
        case 0:
            del raw[at : at + chance.randrange(1, 30)]
        case 1:
            raw[at:at] = chance.choice([b"\0", b'"', b",", b"\n", b"\r", b"\xff", b"\xef\xbb\xbf", b"x" * 200_000])
        case 2:
            raw[at] = chance.randrange(256)
        case _:
            del raw[at:]
    return bytes(raw)


def test_whatever_a_file_holds_its_batch_is_taken_whole_or_refused_in_words(tmp_path: Path) -> None:
    chance = random.Random(7)
    fates: set[RowOutcome] = set()
    for number in range(60):
        base = tmp_path / str(number)
        base.mkdir()
        made, path = folder(base), tracking(base / "batches.csv", WILD)
        victim = chance.choice([path, *sorted(made.iterdir())])
        victim.write_bytes(damaged(chance, victim.read_bytes()))
        Batch.objects.all().delete()
        try:
            fates |= {one.outcome for one in take(path)}
        except OperationRefused:
            assert not Batch.objects.exists()
        assert BatchRecord.objects.count() == sum(step.touched or 0 for step in BatchStep.objects.all())
    assert fates == {RowOutcome.CREATED, RowOutcome.REJECTED}
