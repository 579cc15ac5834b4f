"""Files and folders are found by paths of other systems and spellings, and never outside of the batch's folder."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.creation.named_paths import FolderFiles, endings
from batches.keys import comparable
from batches.models import Batch, BatchRecord
from tests.support.tracking_csv import MAPPER, WILD, key, tracking

Run = Callable[..., tuple[int, str]]


def mapped(folder: Path, *files: str) -> Path:
    """A batch folder whose report names these files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "mapper_report.csv").open("w", newline="", encoding="utf-8") as report:
        rows = [["t", "", "new", "success", file, key(f"r{number}"), "", ""] for number, file in enumerate(files, 1)]
        csv.writer(report).writerows([MAPPER, *rows])
    return folder


def records() -> list[tuple[str | None, str, str | None]]:
    return list(BatchRecord.objects.order_by("row").values_list("file", "upload_outcome", "upload_message"))


@pytest.mark.parametrize(
    "named",
    [
        r"C:\Users\kim\batches\plc1",
        r"\\server\share\batches\plc1",
        r"\\?\C:\batches\plc1",
        "D:/batches/plc1/",
        "C:plc1",
        "/home/kim/batches/plc1",
        r"batches\plc1",
        r"C:\other\..\plc1",
    ],
)
@pytest.mark.django_db
def test_a_folder_and_its_files_are_found_by_the_last_parts_of_their_paths(
    tmp_path: Path, run: Run, named: str
) -> None:
    folder = mapped(
        tmp_path / "here" / "plc1", named.rstrip("/\\") + r"\a.xml", named + r"\sub\b.xml", named + "/c.xml"
    )
    (folder / "sub").mkdir()
    for name in ("a.xml", "sub/b.xml"):
        (folder / name).write_text("<r/>")
    path = tracking(tmp_path / "batches.csv", {"id": "plc", "action": "create", "dir": named, "batch_status": "mapped"})
    status, said = run("batch", "import", str(path), "--batch-dir", str(tmp_path / "here"))
    assert (status, Batch.objects.get().folder) == (0, str(folder)), said
    assert [(file, outcome) for file, outcome, _ in records()][:2] == [("a.xml", "pending"), ("sub/b.xml", "pending")]
    assert records()[2] == (f"{named}/c.xml", "unuploadable", f"file {f'{named}/c.xml'!r} not found")
    assert (run("batch", "export")[1].splitlines()[1].split(",")[8]) == named


@pytest.mark.django_db
def test_nothing_outside_of_the_folder_is_sent(tmp_path: Path, run: Run) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_text("<secret/>")
    folder = mapped(
        tmp_path / "plc1", "../secret.xml", str(secret), "link.xml", "linked/secret.xml", r"..\secret.xml", "inside.xml"
    )
    (folder / "real.xml").write_text("<r/>")
    (folder / "link.xml").symlink_to(secret)
    (folder / "inside.xml").symlink_to("real.xml")
    (folder / "linked").symlink_to(tmp_path)
    assert run("batch", "add", "plc", str(folder))[0] == 0
    outside = "is outside of the batch folder"
    assert [(outcome, outside in (message or "")) for _, outcome, message in records()] == [
        ("unuploadable", True),
        ("unuploadable", True),
        ("unuploadable", True),
        ("unuploadable", True),
        ("unuploadable", False),
        ("pending", False),
    ]


@pytest.mark.django_db
def test_a_dir_does_not_lead_out_of_the_batch_dir(tmp_path: Path, run: Run) -> None:
    mapped(tmp_path / "plc1", "a.xml")
    (tmp_path / "here").mkdir()
    path = tracking(tmp_path / "batches.csv", WILD | {"dir": "../plc1"})
    said = run("batch", "import", str(path), "--batch-dir", str(tmp_path / "here"))[1]
    assert "folder '../plc1' not found" in said


@pytest.mark.django_db
def test_a_file_is_found_in_composed_and_decomposed_spelling(tmp_path: Path, run: Run) -> None:
    folder = mapped(tmp_path / "plc1", "Müller.xml", "Česká\u200b 7.xml", "both é.xml")
    for name in ("Müller.xml", "Česká 7.xml"):
        (folder / unicodedata.normalize("NFD", name)).write_text("<r/>")
    for form in ("NFC", "NFD"):
        (folder / unicodedata.normalize(form, "both é.xml")).write_text("<r/>")
    assert run("batch", "add", "plc", str(folder))[0] == 0
    assert [outcome for _, outcome, _ in records()] == ["pending"] * 3
    assert all((folder / str(file)).is_file() for file, _, _ in records())


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\:\0\u2028\u2029"), min_size=1, max_size=12
).filter(lambda text: text not in (".", "..") and text.strip())


@given(
    st.lists(NAMES, min_size=1, max_size=4), st.sampled_from(["/", "\\"]), st.sampled_from(["", "C:", "\\\\server\\"])
)
def test_the_parts_of_any_path_are_found_again(parts: list[str], separator: str, root: str) -> None:
    found = list(endings(root + separator + separator.join(parts)))
    assert [Path(*parts[start:]) for start in range(len(parts))] == found[-len(parts) :]


@given(NAMES, st.booleans(), st.sampled_from(["", "\u200b", "\ufeff", " ", "\u00a0"]))
def test_any_file_name_is_found_in_any_spelling(
    tmp_path_factory: pytest.TempPathFactory, name: str, is_composed: bool, invisible: str
) -> None:
    folder = tmp_path_factory.mktemp("names")
    composed, decomposed = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    spelled, named = (composed, decomposed) if is_composed else (decomposed, composed)
    (folder / spelled).write_text("x")
    found = FolderFiles(folder).find(named + invisible)
    assert (found.name, found.size) == (spelled, 1)
    assert comparable(comparable(name)) == comparable(name) == comparable(invisible + spelled + invisible)
