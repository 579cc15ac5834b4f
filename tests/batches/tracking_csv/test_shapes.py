"""A tracking CSV and its reports are read in every shape that a spreadsheet makes of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batches.creation.csv_reader import MAX_ROW_LENGTH, CsvFormat, open_table
from batches.models import Batch
from batches.tracking_csv.columns import NAMES
from core.exceptions import OperationRefused
from tests.support.tracking_csv import WILD, folder, tracking

pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]
ADDED = {"id": "ex1", "action": "create", "batch_status": "added", "source_csv": "/d/Müller·1.csv"}


def saved(path: Path, *, delimiter: str = ",", end: str = "\n", encoding: str = "utf-8", head: str = "") -> Path:
    """A file of one batch, as a program saves it."""
    text = tracking(path, ADDED, delimiter=delimiter, end=end, head=head).read_bytes().decode()
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"], ids=repr)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_encoding_and_line_ends_are_found_out(
    tmp_path: Path, run: Run, delimiter: str, encoding: str, end: str
) -> None:
    path = saved(tmp_path / "b.csv", delimiter=delimiter, encoding=encoding, end=end)
    status, said = run("batch", "import", str(path))
    assert (status, said.splitlines()[-1]) == (0, "1 created; 0 records imported."), said
    assert Batch.objects.get().source_csv == "/d/Müller·1.csv"


@pytest.mark.parametrize("head", ["sep=;\r\n", '"sep=;"\r\n', "SEP=;\n", "sep=;;;;;\n", "\ufeffsep=;\n"])
def test_a_line_that_names_the_delimiter_is_no_header(tmp_path: Path, run: Run, head: str) -> None:
    path = saved(tmp_path / "b.csv", delimiter=";", head=head)
    status, said = run("batch", "import", str(path))
    assert (status, said.splitlines()[0]) == (0, "line 3: ex1 created, 0 records"), said


def test_padding_is_passed_over_and_mentioned(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "b.csv"
    rows = [
        [*NAMES, "", "", ""],
        ["ex1", "", "person", "create", "added", *[""] * 23],
        [""] * 28,
        ["ex2", "", "person", "create"],
        [" ", "\u00a0"],
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    status, said = run("batch", "import", str(path))
    assert (status, said.splitlines()[:3]) == (
        0,
        [
            "3 empty columns at the end ignored.",
            "2 empty rows ignored.",
            "1 row shorter than the header: the missing cells are empty (line 4).",
        ],
    )
    assert said.endswith("2 created; 0 records imported.\n")
    with path.open("a") as file:
        file.write("ex3,,person,create," + "," * 22 + "a remark\n")
    status, said = run("batch", "import", str(path))
    assert (status, "27 values, but 25 columns in the header" in said) == (1, True), said


@pytest.mark.parametrize(
    "spell", [str.upper, lambda name: f" {name}\u00a0", lambda name: name.replace("_", " ").title()]
)
def test_headers_are_found_in_any_case_and_spacing(tmp_path: Path, run: Run, spell: Callable[[str], str]) -> None:
    path = tracking(
        tmp_path / "b.csv", {spell(name): ADDED.get(name, "") for name in NAMES}, names=[*map(spell, NAMES)]
    )
    status, said = run("batch", "import", str(path))
    assert (status, said.splitlines()) == (
        0,
        [
            "line 2: ex1 created, 0 records",
            "  its row names no folder (dir): no records imported (use --batch-dir)",
            "1 created; 0 records imported.",
        ],
    )


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman", "cp437", "latin-1"])
@pytest.mark.parametrize("text", ["Müller", "Café Société", "Señora Ñandú", "François Gödel"])
def test_another_encoding_is_named_and_with_it_the_file_is_read(
    tmp_path: Path, run: Run, encoding: str, text: str
) -> None:
    try:
        raw = text.encode(encoding)
    except UnicodeEncodeError:
        return
    path = tmp_path / "b.csv"
    path.write_bytes(b"id,action,batch_mode\nex1,create," + raw + b"\n")
    status, said = run("batch", "import", str(path))
    # What latin-1 and cp1252 have in common is called cp1252.
    fitting = "cp1252" if encoding == "latin-1" else encoding
    assert (status, "is not UTF-8: use --encoding " in said, f"{fitting} ('{text}')" in said) == (1, True, True), said
    assert run("batch", "import", str(path), "--encoding", fitting)[0] == 0
    assert Batch.objects.get().mode == text


def test_an_encoding_that_does_not_exist_or_does_not_fit_is_refused(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "b.csv"
    path.write_bytes(b"id,action,batch_mode\nex1,create,M\x81ller\n")
    status, said = run("batch", "import", str(path), "--encoding", "klingon")
    assert (status, "unknown encoding 'klingon': use cp1252, mac_roman, latin-1, cp437" in said) == (1, True), said
    status, said = run("batch", "import", str(path), "--encoding", "cp1252")
    assert (status, "is not valid cp1252: use --encoding cp437 ('" in said, "--delimiter" in said) == (
        1,
        True,
        False,
    ), said


def test_reports_are_read_in_those_shapes_too(tmp_path: Path, run: Run) -> None:
    made = folder(tmp_path)
    for number, report in enumerate(sorted(made.iterdir())):
        with report.open(newline="") as file:
            header, *rows = csv.reader(file)
        rows[0][0] = "Café"
        with report.open("w", newline="", encoding="utf-16" if number else "cp1252") as file:
            writer = csv.writer(file, delimiter=";\t"[number % 2], lineterminator="\r")
            writer.writerows([[*(name.upper() for name in header), "", ""], *rows, [""] * 5])
    path = tracking(tmp_path / "b.csv", WILD | {"batch_mode": "é"})
    status, said = run("batch", "import", str(path))
    assert (status, "use --encoding cp1252" in said) == (1, True), said
    status, said = run("batch", "import", str(path), "--encoding", "cp1252")
    assert (status, said.splitlines()[-1]) == (0, "1 created; 4 records imported."), said
    batch = Batch.objects.get()
    assert (batch.mode, batch.records.filter(upload_outcome="success", ingest_outcome="failure").count()) == ("é", 1)


def test_a_report_in_another_encoding_is_added(tmp_path: Path, run: Run) -> None:
    made = folder(tmp_path)
    report = made / "mapper_report.csv"
    report.write_bytes(report.read_bytes().replace(b"no term", b"No \x8eclair"))
    status, said = run("batch", "add", "plc", str(made))
    assert (status, "is not UTF-8: use --encoding " in said, "mac_roman ('No éclair')" in said) == (1, True, True), said
    assert run("batch", "add", "plc", str(made), "--encoding", "mac_roman")[0] == 0


def test_a_cell_may_have_any_length_and_the_limit_of_the_process_stays(tmp_path: Path, run: Run) -> None:
    limit, text = csv.field_size_limit(), "long " * 60_000
    path = tracking(tmp_path / "b.csv", ADDED | {"batch_mode": text})
    assert run("batch", "import", str(path))[0] == 0
    exported = tmp_path / "exported.csv"
    run("batch", "export", str(exported))
    assert exported.read_bytes() == path.read_bytes()
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("row", [",", '"', "a"])
def test_a_row_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path, run: Run, row: str) -> None:
    path = tmp_path / "b.csv"
    path.write_text('id,action,"' * (row == '"') + row * (MAX_ROW_LENGTH + 1))
    status, said = run("batch", "import", str(path))
    assert (status, "line 1: a row of more than 32,000,000 characters" in said) == (1, True), said
    assert run("batch", "import", "/dev/zero")[0] == 1


def test_times_and_ids_that_a_spreadsheet_changed(tmp_path: Path, run: Run) -> None:
    when = datetime(2024, 9, 11, 17, 33, 41, 812_000, tzinfo=UTC)
    Batch.objects.create(bid="mar1", action="CREATE", status="uploaded", uploaded_at=when, upload_started=when)
    exported = run("batch", "export")[1]
    assert ",2024-09-11_17_33_41.812," in exported
    path = tmp_path / "b.csv"
    # A file of before, whose times a spreadsheet cut down: the time that is known here stays.
    path.write_text(exported.replace("2024-09-11_17_33_41.812", "33:41.8"))
    assert run("batch", "import", str(path))[1].endswith("1 unchanged; 0 records imported.\n")
    path.write_text(exported.replace("mar1,", "1-Mar,"))
    status, said = run("batch", "import", str(path))
    assert (status, "By its batch_prefix it is 'mar1', which a spreadsheet may have changed" in said) == (1, True), said


def test_a_header_that_fits_with_two_delimiters_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_text("a;a,b\n1;2,3\n")
    assert open_table(path, ["b"], "list").columns == ["a;a", "b"]
    assert open_table(path, [], "list", form=CsvFormat(";")).columns == ["a", "a,b"]
    with pytest.raises(OperationRefused, match="column c is missing"):
        open_table(path, ["c"], "list")
