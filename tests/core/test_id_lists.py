"""Lists of ids as people have them: which cells are the ids, and what is refused."""

from __future__ import annotations

import io
import zipfile

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from core import id_lists
from core.id_lists import ColumnNeeded, IdList, UnreadableList, id_terms, read_table

NAMES = ("guid", "sampleid", "sample", "id")


def ids(text: str | bytes, column: str = "") -> list[str]:
    return read(text, column).ids


def read(text: str | bytes, column: str = "") -> IdList:
    data = text.encode() if isinstance(text, str) else text
    return read_table(io.BytesIO(data)).choose_ids(NAMES, column)


def workbook(rows: list[list[object]], title: str = "runs", *, before: str = "") -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    if before:
        sheet.title = before
        sheet = book.create_sheet(title)
    sheet.title = title
    for row in rows:
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "s1\ns2\n",
        "\ufeffs1\r\ns2\r\n\r\n",
        "  s1\t\n\u200bs2",
        "s1\rs2\r",
        "place,guid\rOxford,s1\rLeeds,s2\r",
        "'s1'\n\N{LEFT DOUBLE QUOTATION MARK}s2\N{RIGHT DOUBLE QUOTATION MARK}\n",
        "s1\ns2\ns1\n",
        "s1, s2",
        "s1;s2",
        "s1\ts2",
        "guid\ns1\ns2\n",
        "Sample_ID\ns1\ns2\n",
        "place,guid\nOxford,s1\nLeeds,s2\n",
        "place;Sample ID;date\nOxford;s1;1\nLeeds;s2;2\n",
        "place\tguid\nOxford\ts1\nLeeds\ts2\n",
        'sep=;\nplace;guid\n"Ox;ford";s1\nLeeds;s2\n',
        'place,guid\n"Oxford\nEngland",s1\nLeeds,s2\n,\n',
        "[Header]\nIEMFileVersion,4\n[Reads]\n151\n[Data]\nLane,Sample_ID\n1,s1\n2,s2\n",
    ],
)
def test_the_ids_of_a_text_are_found(text: str) -> None:
    assert ids(text) == ["s1", "s2"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_that_programs_save_in(encoding: str) -> None:
    text = "Müller-1\nMüller-2\n"
    data = text.encode(encoding)
    assert ids(b"\xff\xfe" + data if encoding == "utf-16-le" else data) == ["Müller-1", "Müller-2"]


def test_an_old_encoding_is_no_error() -> None:
    assert ids("Müller-1\n".encode("cp1252")) == ["Müller-1"]


def test_a_column_is_named_by_heading_or_number() -> None:
    text = "barcode,place\nb1,p1\nb2,p2\n"
    assert ids(text, "barcode") == ids(text, "Bar Code") == ids(text, "1") == ["b1", "b2"]
    assert ids("b1,p1\nb2,p2\n", "2") == ["p1", "p2"]
    assert read(text, "place").source == "CSV, column 'place'"


def test_a_column_that_is_not_clear_or_not_there_is_said_with_all_columns() -> None:
    with pytest.raises(ColumnNeeded, match=r"2 columns: name the one with the ids\. Columns: barcode, place"):
        ids("barcode,place\nb1,p1\nb2,p2\n")
    for wanted in ("colour", "3", "0", "²", " "):
        with pytest.raises(UnreadableList, match="Columns: barcode, place"):
            read_table(io.BytesIO(b"barcode,place\nb1,p1\nb2,p2\n")).find_column(wanted, NAMES)


def test_ids_with_commas_stay_whole_where_lines_differ() -> None:
    assert ids("1984.12,3\n1984.12\n1984,5,6\n") == ["1984.12,3", "1984.12", "1984,5,6"]


def test_repetitions_are_counted() -> None:
    found = read("s1\ns2\ns1\ns1\n")
    assert (found.ids, found.repeated) == (["s1", "s2"], 2)


def test_a_workbook_is_read_from_its_first_sheet_with_rows() -> None:
    rows: list[list[object]] = [["Sample ID", "run", None], ["s1", 1, None], [None, None, None], [12345, 2, "x"]]
    found = read(workbook(rows, before="empty"))
    assert (found.ids, found.source) == (["s1", "12345"], "Excel, sheet 'runs', column 'Sample ID'")
    assert ids(workbook(rows), "run") == ["1", "2"]


def test_a_workbook_with_one_column_needs_no_heading() -> None:
    assert ids(workbook([["s1"], [2.0], ["s3"]])) == ["s1", "2", "s3"]


def test_too_many_ids_are_refused_and_the_last_allowed_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_lists, "MAX_IDS", 5)
    assert len(ids("1\n2\n3\n4\n5\n")) == 5
    with pytest.raises(UnreadableList, match=r"more than 5 ids\. Split it"):
        ids("1\n2\n3\n4\n5\n5\n")


def test_a_large_file_is_refused_unread() -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size
            assert size > 0
            return b"s" * size

    with pytest.raises(UnreadableList, match="larger than 20 MB"):
        read_table(Endless())


def bomb(member: str, size: int) -> bytes:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook([["s1"]]))) as good,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bad,
    ):
        for part in good.infolist():
            if part.filename != member:
                bad.writestr(part, good.read(part))
        with bad.open(member, "w") as packed:
            for _ in range(size // 1_000_000):
                packed.write(b" " * 1_000_000)
    return file.getvalue()


@pytest.mark.parametrize(
    ("member", "megabytes"), [("xl/worksheets/sheet1.xml", 201), ("xl/sharedStrings.xml", 61), ("xl/media/x.png", 201)]
)
def test_a_workbook_that_unpacks_to_gigabytes_is_refused(member: str, megabytes: int) -> None:
    data = bomb(member, megabytes * 1_000_000)
    assert len(data) < 1_000_000
    with pytest.raises(UnreadableList, match="unpacks to too many bytes"):
        ids(data)


def test_cells_far_to_the_right_are_not_read() -> None:
    rows: list[list[object]] = [["guid", *[None] * 16_000, "far"], ["s1", *[None] * 16_000, "far"]]
    table = read_table(io.BytesIO(workbook(rows)))
    assert (table.width, table.choose_ids(NAMES).ids) == (1, ["s1"])


def damaged() -> bytes:
    data = bytearray(workbook([["s1"]] * 50))
    for place in range(200, len(data) // 2, 50):
        data[place] ^= 0xFF
    return bytes(data)


def plain_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("s1.txt", "s1")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no ids"),
        (b"\n \n", "no ids"),
        (b"guid\n", "no ids"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 600, "Save it as .xlsx"),
        (b"\x1f\x8b\x08\0\0\0", "neither text nor an Excel"),
        (damaged(), "damaged|without an Excel workbook"),
        (workbook([["s1"]])[:400], "damaged"),
        (plain_zip(), "ZIP file without an Excel workbook"),
        (b'a,guid\n1,"' + b"x" * 140_000 + b'"\n', "can't be read"),
        (b'a,"' + b"x" * 140_000 + b'"', "can't be read"),
    ],
    ids=["empty", "blank", "heading", "xls", "gzip", "damaged", "cut-off", "zip", "long-cell", "long-last-cell"],
)
def test_what_is_no_list_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(UnreadableList, match=why):
        ids(data)


def test_an_entity_bomb_ends_quickly() -> None:
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    body = '<worksheet><sheetData><row><c t="str"><v>&a11;</v></c></row></sheetData></worksheet>'
    sheet = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]>{body}'
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook([["s1"]]))) as good, zipfile.ZipFile(file, "w") as bad:
        for part in good.infolist():
            own = part.filename == "xl/worksheets/sheet1.xml"
            bad.writestr(part, sheet if own else good.read(part))
    with pytest.raises(UnreadableList):
        ids(file.getvalue())


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        ("s1", "s1"),
        ("s1.fasta.gz", "s1"),
        ("runs/7/s1.fasta", "s1"),
        (">GPAS_SP3|s1 from Leeds", "s1"),
        ("s1.2.fasta", "s1.2"),
        ("s1.2.fasta", "s1"),
        ("file:///data/s1.fa", "s1"),
    ],
)
def test_an_id_is_also_looked_for_without_what_is_around_it(text: str, sample: str) -> None:
    assert sample in id_terms(text)
