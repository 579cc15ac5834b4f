"""`batch add` of a folder as people have it: records, and what systems, office programs and people leave beside them."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batches.creation.add import AddSummary, add_batch
from batches.models import Batch, BatchRecord
from core.exceptions import OperationRefused

if TYPE_CHECKING:
    from tests.support.batch_site import BatchSite

pytest_plugins = ["tests.support.batch_site"]
LITTER = ("Thumbs.db", "DESKTOP.INI", ".DS_Store", "Icon\r", "~$A67.xml", ".~lock.A67.xml#", "._A67.1.xml")


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text("<r/>")
    return folder


def added(folder: Path, *patterns: str) -> AddSummary:
    wanted = {"rectype": "collectionobject", "action": None, "path": "/collectionobjects", "who": "me"}
    return add_batch("plc", folder, patterns=patterns, **wanted)[1]  # type: ignore[arg-type]


def identifiers() -> list[str | None]:
    return list(BatchRecord.objects.order_by("row").values_list("identifier", flat=True))


@pytest.mark.django_db
def test_litter_hidden_files_and_subfolders_are_named_and_left_out_whatever_the_pattern(tmp_path: Path) -> None:
    fill(tmp_path, "A67.1.xml", "A67.2.XML", *LITTER, ".A67.9.xml")
    for name in (".git", "old", "older"):
        (tmp_path / name).mkdir()
    summary = added(tmp_path, "*")
    assert identifiers() == ["A67.1", "A67.2"]
    assert sorted(summary.notes) == [
        "Left out: 2 hidden files and folders: .A67.9.xml, .git.",
        "Left out: 2 subfolders: old, older.",
        "Left out: 7 files of the system or of an office program: .DS_Store, ._A67.1.xml, .~lock.A67.xml#, ….",
    ]


@pytest.mark.django_db
def test_a_name_in_a_note_is_one_line(tmp_path: Path) -> None:
    fill(tmp_path, "a.xml", "Icon\r", "\x1b[2Jb.txt")
    assert added(tmp_path).notes == [
        "Left out: 1 file that does not match *.xml: \\x1b[2Jb.txt. To include such files: --pattern",
        "Left out: 1 file of the system or of an office program: Icon\\r.",
    ]


@pytest.mark.django_db
def test_only_xml_files_are_records_unless_other_patterns_are_given(tmp_path: Path) -> None:
    fill(tmp_path, "a.xml", "b.XML", "c.json", "d.txt", "notes")
    (note,) = added(tmp_path).notes
    assert note == "Left out: 3 files that do not match *.xml: c.json, d.txt, notes. To include such files: --pattern"
    assert identifiers() == ["a", "b"]
    Batch.objects.all().delete()
    added(tmp_path, "*.JSON", "d.*")
    assert identifiers() == ["c", "d"]


@pytest.mark.django_db
def test_an_empty_file_is_unuploadable_and_says_why(tmp_path: Path) -> None:
    fill(tmp_path, "a.xml")
    (tmp_path / "b.xml").touch()
    summary = added(tmp_path)
    assert (summary.records, summary.sendable, summary.unuploadable) == (2, 1, 1)
    assert summary.notes == ["Unuploadable: 1 empty file: b.xml."]
    record = BatchRecord.objects.get(identifier="b")
    assert (record.upload_outcome, record.upload_message, record.size) == ("unuploadable", "the file is empty", 0)


@pytest.mark.django_db
def test_links_that_lead_out_of_the_folder_loops_and_pipes_are_left_out(tmp_path: Path) -> None:
    outside = fill(tmp_path, "secret.xml") / "secret.xml"
    folder = tmp_path / "plc"
    folder.mkdir()
    fill(folder, "a.xml")
    (folder / "inside.xml").symlink_to("a.xml")
    (folder / "outside.xml").symlink_to(outside)
    (folder / "up.xml").symlink_to("..")
    (folder / "loop.xml").symlink_to("loop.xml")
    os.mkfifo(folder / "pipe.xml")
    assert added(folder).notes == [
        "Left out: 2 devices, pipes and broken links: loop.xml, pipe.xml.",
        "Left out: 2 links out of the folder: outside.xml, up.xml.",
    ]
    assert identifiers() == ["a", "inside"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["a.json", "b.json", "c.txt", "README"],
            (
                r"contains no files that match \*\.xml\. It contains 2 \.json, 1 without an ending, 1 \.txt\."
                r" To add them, use for example --pattern '\*\.json'"
            ),
        ),
        ([], r"contains no files that match \*\.xml\.$"),
        (
            ["Thumbs.db"],
            r"no files that match \*\.xml\. Left out: 1 file of the system or of an office program: Thumbs",
        ),
    ],
)
@pytest.mark.django_db
def test_a_folder_without_a_matching_file_is_refused_with_what_it_holds(
    tmp_path: Path, names: list[str], said: str
) -> None:
    fill(tmp_path, *names)
    with pytest.raises(OperationRefused, match=said):
        added(tmp_path)
    assert not Batch.objects.exists()


@pytest.mark.django_db
def test_a_pattern_is_refused_where_a_mapper_report_lists_the_files(tmp_path: Path) -> None:
    fill(tmp_path, "mapper_report.csv")
    with pytest.raises(OperationRefused, match=r"lists its files\. Omit --pattern"):
        added(tmp_path, "*.xml")


def test_the_command_names_what_it_leaves_out_and_the_upload_sends_nothing_empty(
    site: BatchSite, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    fill(folder, "a.xml", "b.xml", "c.xml", "Thumbs.db")
    (folder / "b.xml").write_text("")
    result = site("batch", "add", "plc", str(folder))
    assert result.stdout == (
        "plc added: 3 records to create, 2 to send, 1 unuploadable, 0 mapping errors.\n"
        "Left out: 1 file of the system or of an office program: Thumbs.db.\n"
        "Unuploadable: 1 empty file: b.xml.\n"
        "Next: manage.py batch upload plc\n"
    )
    (folder / "c.xml").write_text("")
    assert site("batch", "upload", "plc").returncode == 10
    assert site.between.puts == [site.key("plc", "a")]
    assert site.batch("plc")["outcomes"]["upload"] == {"success": 1, "unuploadable": 2}
    assert "2 records unuploadable: the file is empty" in site("batch", "show", "plc").stdout
    (folder / "b.xml").write_text("<r/>")
    site("batch", "upload", "plc")
    assert site.batch("plc")["outcomes"]["upload"] == {"success": 2, "unuploadable": 1}, "it has content now"


def test_names_with_line_ends_are_one_line_each_and_come_back_whole(site: BatchSite, tmp_path: Path) -> None:
    names = ["a\nERROR: forged", "b\r\n2026-01-01", "c\u2028d"]
    folder = tmp_path / "folder"
    folder.mkdir()
    fill(folder, *(f"{name}.xml" for name in names))
    assert site("batch", "add", "plc", str(folder)).returncode == 0
    assert site("batch", "upload", "plc").returncode == 0
    assert sorted(site.between.puts) == sorted(site.key("plc", name) for name in names)
    lines = site("batch", "objects", "plc").stdout.splitlines()
    assert len(lines) == 1 + len(names) + 1
    assert lines[1].startswith(r"a\nERROR: forged ")
    table = list(csv.DictReader(io.StringIO(site("batch", "objects", "plc", "--csv").stdout, newline="")))
    # The pipe of this test reads every line end as "\n".
    assert [row["identifier"] for row in table] == [name.replace("\r\n", "\n") for name in names]
