"""However a tracking CSV says that a batch was uploaded, an import never leads to a second upload."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from batches.models import Batch, BatchRecord
from batches.tracking_csv.columns import NAMES
from tests.support.tracking_csv import NOT_UPLOADED, WILD, folder, take, tracking

pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]
# Three records can be sent; nothing says that any was.
NEW = WILD | NOT_UPLOADED | {"batch_status": "", "batch_prefix": ""}
OLD_NAMES = [name for name in NAMES if name != "batch_status"]


@pytest.fixture
def bucket(tmp_path: Path, settings: Settings) -> Path:
    store = tmp_path / "store"
    store.mkdir()
    settings.BATCH_STORE_URL, settings.REPORTS_DIR = store.as_uri(), tmp_path / "reports"
    return store


def batch_folder(base: Path, *reports: str) -> Path:
    made = folder(base)
    for name in ("in", "left", "none"):
        (made / f"{name}.xml").write_text("<xml/>")
    for report in {"upload", "ingest"} - set(reports):
        (made / f"{report}_report.csv").unlink()
    return made


def outcomes() -> list[str]:
    return list(BatchRecord.objects.order_by("row").values_list("upload_outcome", flat=True))


UNREADABLE = ["5/1/2023 10:11", "yes", "x", "1", "no", "33:41.8", "2023-02-30", "Ja", "????", "45047.42"]
EVIDENCE = [
    *({"uploaded?": text} for text in (*UNREADABLE, "2023-05-02", "25/12/2023")),
    {"upload_oks": "2"},
    {"upload_oks": "two"},
    {"upload_errs": "3"},
    {"ingest_start_time": "2023-05-02_10_11"},
    {"ingest_done?": "2023-05-02_10_11"},
    {"ingest_done?": "5/1/2023"},
    {"ingest_oks": "3"},
    {"ingest_errs": "1", "ingest_oks": "?"},
    {"ingest_duration": "00:10:00"},
    {"batch_status": "Hochgeladen"},
    {"batch_status": "done!"},
    {"batch_status": "mapped", "uploaded?": "yes"},
    {"batch_status": "added", "upload_oks": "1"},
]


@pytest.mark.parametrize(
    ("cells", "names"),
    [(cells, names) for cells in EVIDENCE for names in (NAMES, OLD_NAMES) if set(cells) & set(names)],
    ids=str,
)
def test_whatever_speaks_of_an_upload_keeps_the_records_from_being_sent(
    tmp_path: Path, bucket: Path, run: Run, cells: dict[str, str], names: list[str]
) -> None:
    batch_folder(tmp_path)
    status, said = run("batch", "import", str(tracking(tmp_path / "batches.csv", NEW | cells, names=names)))
    assert status == 0, said
    assert set(outcomes()) <= {"success", "uncertain", "skip"}, said
    assert Batch.objects.get().status in ("uploaded", "ingested")
    run("batch", "upload", "plc")
    assert list(bucket.iterdir()) == []


@pytest.mark.parametrize("cells", [{}, {"batch_status": "mapped"}, {"upload_oks": "0", "upload_errs": "0"}], ids=str)
def test_a_batch_that_was_never_uploaded_by_all_that_is_said_is_sent(
    tmp_path: Path, bucket: Path, run: Run, cells: dict[str, str]
) -> None:
    batch_folder(tmp_path)
    run("batch", "import", str(tracking(tmp_path / "batches.csv", NEW | cells)))
    assert (Batch.objects.get().status, run("batch", "upload", "plc")[0]) == ("mapped", 0)
    assert len(list(bucket.iterdir())) == 3


@pytest.mark.parametrize("text", ["5/1/2023 10:11", "yes", ""])
@pytest.mark.parametrize("word", ["", "uploaded", "mapped", "sent"])
def test_reports_decide_where_the_cells_are_silent_or_unreadable(
    tmp_path: Path, bucket: Path, run: Run, text: str, word: str
) -> None:
    batch_folder(tmp_path, "upload")
    path = tracking(tmp_path / "batches.csv", NEW | {"uploaded?": text, "batch_status": word})
    said = run("batch", "import", str(path))[1]
    assert outcomes() == ["success", "success", "failure", "skip"], said
    batch = Batch.objects.get()
    assert (batch.status, batch.uploaded_at, batch.upload_oks, batch.upload_errs) == ("uploaded", None, 2, 1)
    if text:
        assert f"uploaded?: '{text}' is " in said
        assert "the step has happened, its time is unknown; it is kept as text" in said
    if word in ("mapped", "sent"):
        assert f"batch_status is '{word}', imported as uploaded because of" in said
    exported = tmp_path / "exported.csv"
    run("batch", "export", str(exported))
    with path.open() as file, exported.open() as other:
        assert list(csv.DictReader(other)) == list(csv.DictReader(file))


def test_an_ingest_report_alone_tells_what_was_uploaded(tmp_path: Path, bucket: Path, run: Run) -> None:
    batch_folder(tmp_path, "ingest")
    (one,) = take(tracking(tmp_path / "batches.csv", NEW))
    assert outcomes() == ["success", "success", "failure", "skip"], one.notes
    assert Batch.objects.get().status == "uploaded"


def test_counts_that_know_of_more_uploads_than_the_report_make_the_rest_uncertain(tmp_path: Path) -> None:
    batch_folder(tmp_path, "upload")
    (one,) = take(tracking(tmp_path / "batches.csv", NEW | {"uploaded?": "2023-05-02", "upload_oks": "3"}))
    assert outcomes() == ["success", "success", "uncertain", "skip"]
    assert "upload_oks is 3, but upload_report.csv has 2" in one.notes


def test_a_report_of_nothing_but_failures_leaves_the_batch_to_be_uploaded(
    tmp_path: Path, bucket: Path, run: Run
) -> None:
    report = batch_folder(tmp_path, "upload") / "upload_report.csv"
    report.write_text(report.read_text().replace(",success,\n", ",failure,\n").replace("success,\r", "failure,\r"))
    run("batch", "import", str(tracking(tmp_path / "batches.csv", NEW)))
    assert (Batch.objects.get().status, outcomes()) == ("mapped", ["failure", "failure", "failure", "skip"])


def test_records_that_were_imported_before_are_kept_from_being_sent_when_their_folder_is_gone(
    tmp_path: Path, bucket: Path, run: Run
) -> None:
    made = batch_folder(tmp_path)
    path = tracking(tmp_path / "batches.csv", NEW)
    take(path)
    (made / "mapper_report.csv").unlink()
    (one,) = take(tracking(path, NEW | {"uploaded?": "yes"}))
    assert outcomes() == ["uncertain", "uncertain", "uncertain", "skip"]
    assert "the upload of 3 records is uncertain: no report is there to say" in one.notes
    run("batch", "upload", "plc")
    assert list(bucket.iterdir()) == []
    # What was found out stays, whatever the file says later.
    take(tracking(path, NEW | {"missing_terms": "8"}))
    assert outcomes() == ["uncertain", "uncertain", "uncertain", "skip"]


@pytest.mark.parametrize("cells", [{"uploaded?": "yes"}, {"uploaded?": "yes", "upload_oks": "3"}], ids=str)
def test_a_batch_that_was_uploaded_at_an_unknown_time_is_checked_and_shown(
    tmp_path: Path, bucket: Path, run: Run, admin_client: Client, cells: dict[str, str]
) -> None:
    batch_folder(tmp_path)
    take(tracking(tmp_path / "batches.csv", NEW | cells))
    for page in (reverse("batches:batch", args=["plc"]), reverse("batches:batches"), reverse("overview")):
        assert admin_client.get(page).status_code == 200
    assert run("batch", "show", "plc")[0] == 0
    assert run("fnstatus")[0] in (0, 1, 2, 10)
    from batches.ingest.scheduled import to_check

    assert [batch.bid for batch in to_check()] == ["plc"]
    assert run("batch", "rollback", "plc", "upload", "--dry-run")[0] == 0
    assert run("ingstat", "plc", "--sleep", "0")[0] == 0
    assert Batch.objects.get().status == "ingested"


def test_a_result_at_an_unknown_time_is_shown_and_can_be_undone(
    tmp_path: Path, bucket: Path, run: Run, admin_client: Client
) -> None:
    batch_folder(tmp_path, "upload", "ingest")
    take(tracking(tmp_path / "batches.csv", NEW | {"ingest_done?": "5/1/2023"}))
    batch = Batch.objects.get()
    assert (batch.status, batch.ingest_done_at, batch.ingest_oks, batch.ingest_errs) == ("ingested", None, 1, 1)
    assert admin_client.get(reverse("batches:batch", args=["plc"])).status_code == 200
    status, said = run("ingstat", "plc")
    assert (status, "found complete at an unknown time" in said) == (10, True), said
    assert run("ingstat", "plc", "--heal")[0] == 1
    assert run("batch", "rollback", "plc", "ingest", "--yes")[0] == 0
    (row,) = csv.DictReader(run("batch", "export")[1].splitlines())
    assert (row["ingest_done?"], row["batch_status"]) == ("", "uploaded")


def test_a_result_without_numbers_is_not_called_complete(tmp_path: Path, bucket: Path, run: Run) -> None:
    batch_folder(tmp_path)
    take(tracking(tmp_path / "batches.csv", NEW | {"ingest_done?": "2023-05-02"}))
    status, said = run("ingstat", "plc")
    assert (status, "batch rollback plc ingest" in said) == (1, True), said


def test_a_batch_that_an_earlier_version_took_for_new_is_not_sent_after_the_migration(
    tmp_path: Path, bucket: Path, run: Run
) -> None:
    from importlib import import_module

    from django.apps import apps

    batch_folder(tmp_path)
    path = tracking(tmp_path / "batches.csv", NEW)
    take(path)
    # As it was stored then: the cell kept, the batch mapped, its records pending.
    Batch.objects.update(cells='{"uploaded?": ["5/1/2023 10:11", ""], "batch_status": ["", "mapped"]}')
    migration = import_module("batches.migrations.0006_imported_uploads")
    migration.keep_from_sending(apps, None)
    assert (Batch.objects.get().status, outcomes()) == ("uploaded", ["uncertain", "uncertain", "uncertain", "skip"])
    run("batch", "upload", "plc")
    assert list(bucket.iterdir()) == []
    (row,) = csv.DictReader(run("batch", "export")[1].splitlines())
    assert row["batch_status"] == ""


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20) | st.sampled_from(
    [*UNREADABLE, "0", "3", "mapped", "uploaded", "ingested", "2023-05-02", " ", "\u200b", "00:00:00", '"', "\r\n"]
)


@given(st.fixed_dictionaries({name: CELLS for name in NAMES if name not in ("id", "action", "dir")}))
@example({name: "" for name in NAMES if name not in ("id", "action", "dir")} | {"uploaded?": "\ufeff"})
def test_rows_in_out_and_in_again(tmp_path_factory: pytest.TempPathFactory, cells: dict[str, str]) -> None:
    from django.db import transaction

    base = tmp_path_factory.getbasetemp() / "rows"
    if not base.exists():
        base.mkdir()
        batch_folder(base)
    path, exported = base / "batches.csv", base / "exported.csv"
    with transaction.atomic():
        (one,) = take(tracking(path, NEW | cells))
        assert one.outcome.value == "created"
        if cells["uploaded?"].strip():
            assert not BatchRecord.objects.filter(upload_outcome__in=["pending", "failure", "unuploadable"]).exists()
        from batches.tracking_csv.exporter import export_to_file

        export_to_file(exported, Batch.objects.all())
        with path.open(newline="") as file, exported.open(newline="") as other:
            assert list(csv.reader(other)) == list(csv.reader(file))
        assert [one.outcome.value for one in take(exported, folders=str(base))] == ["unchanged"]
        transaction.set_rollback(True)
