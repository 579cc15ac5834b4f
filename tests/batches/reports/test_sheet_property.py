"""The sheet adds up after every sequence of upload, check, healing, clear, rollback, import and correction."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from batches.corrections.status import correction_status
from batches.creation.add import add_batch
from batches.ingest.check import check
from batches.ingest.finalize import finalize
from batches.ingest.healing import heal
from batches.ingest.rule import CheckOptions
from batches.keys import encode
from batches.lifecycle.clear import clear
from batches.lifecycle.rollback import rollback_ingest, rollback_upload
from batches.models import Batch, BatchRecord
from batches.reports.failed_rows import failed_rows
from batches.reports.sheet import batch_sheets, total
from batches.upload.run import upload_batch
from core.exceptions import OperationRefused
from tests.support.tracking_csv import WILD, folder, take, tracking

pytestmark = pytest.mark.django_db
RECORDS = 4
QUICK = CheckOptions(0, 1, 1)
ACTIONS = (
    "upload", "resend", "lose", "find", "ingest", "ingest all", "stray", "check", "heal", "clear", "clear early",
    "rollback ingest", "rollback upload", "correct", "import", "put again", "clear retried",
)  # fmt: skip


class Site:
    """Batches of some files each, their bucket a folder."""

    def __init__(self, base: Path) -> None:
        self.base, self.bucket = base, base / "bucket"
        shutil.rmtree(base, ignore_errors=True)
        self.bucket.mkdir(parents=True)
        Batch.objects.all().delete()
        self.add([f"id {number}" for number in range(RECORDS)])

    def add(self, identifiers: list[str], *corrects: Batch) -> None:
        bid = f"b{Batch.objects.count()}"
        made = self.base / bid
        made.mkdir(exist_ok=True)
        for identifier in identifiers:
            (made / f"{identifier}.xml").write_text("<xml/>")
        add_batch(bid, made, rectype="work", action=None, path="/works", who="w", corrects=corrects)

    def perform(self, action: str, batch: Batch, row: int) -> None:
        record = batch.records.filter(row=row).first() or batch.records.order_by("row").first()
        file = Path(batch.folder or "") / (record.file or "" if record else "")
        steps: dict[str, Callable[[], object]] = {
            "upload": lambda: upload_batch(batch, who="w"),
            "resend": lambda: upload_batch(batch, who="w", resend_uncertain=True),
            "lose": file.unlink,
            "find": lambda: file.write_text("<xml/>"),
            "ingest": (self.bucket / str(record.key if record else "")).unlink,
            "ingest all": self.ingest_all,
            "stray": lambda: (self.bucket / encode(batch.bid, "/works", f"stray {row}", "CREATE")).write_text("x"),
            "check": lambda: (check(batch, QUICK, asked_by="w"), finalize(Batch.objects.get(pk=batch.pk))),
            "heal": lambda: heal(batch),
            "put again": lambda: self.put_again(record),
            "clear": lambda: clear(batch, who="w"),
            "clear retried": lambda: clear(batch, who="w", only_retried=True),
            "clear early": lambda: clear(batch, who="w", even_if_ingesting=True),
            "rollback ingest": lambda: rollback_ingest(batch, who="w"),
            "rollback upload": lambda: rollback_upload(batch, who="w"),
            "correct": lambda: self.correct(batch),
            "import": self.take_in,
        }
        with suppress(OperationRefused, FileNotFoundError, IsADirectoryError):
            steps[action]()

    def correct(self, batch: Batch) -> None:
        rows = failed_rows(batch)
        next(rows)
        if (identifiers := [row[0] for row in rows]) and Batch.objects.count() < 4:
            self.add(identifiers, batch)

    def put_again(self, record: BatchRecord | None) -> None:
        if record and record.upload_outcome in ("success", "cleared"):
            (self.bucket / str(record.key)).write_text("<xml/>")
            # Its upload was long ago.
            ended = Batch.objects.filter(pk=record.batch_id, upload_finished__isnull=False)
            ended.update(upload_finished=timezone.now() - timedelta(hours=1))

    def ingest_all(self) -> None:
        for path in self.bucket.iterdir():
            path.unlink()

    def take_in(self) -> None:
        if not (self.base / "old").exists():
            (self.base / "old").mkdir()
            folder(self.base / "old")
        take(tracking(self.base / "old" / "batches.csv", WILD))

    def verify(self, done: list[Any]) -> None:
        sheets = list(batch_sheets(Batch.objects.order_by("pk")))
        for sheet in sheets:
            counts, batch = sheet.counts, sheet.batch
            unexplained = [str(difference) for difference in sheet.differences if not difference.reason]
            assert not unexplained, (batch.bid, unexplained, done)
            assert counts.records == batch.records.count(), done
            status = correction_status(batch)
            failed = counts.not_mapped + counts.not_uploaded + counts.failed + counts.cleared
            assert (counts.open, failed, counts.corrected) == (
                status.open,
                status.failed,
                failed - status.open + status.unknown,
            ), done
        assert total(sheets).records == BatchRecord.objects.count()


@pytest.fixture
def folder_of_sites(tmp_path: Path, settings: Settings) -> Path:
    """Once for all examples: each change of a setting is a layer more."""
    settings.REPORTS_DIR = tmp_path / "reports"
    settings.BATCH_STORE_URL = (tmp_path / "site" / "bucket").as_uri()
    return tmp_path


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3), st.integers(1, RECORDS)), max_size=14))
@example(
    [("upload", 0, 1), ("ingest", 0, 1), ("check", 0, 1), ("clear", 0, 1), ("rollback ingest", 0, 1), ("check", 0, 1)]
)
@example(
    [
        ("lose", 0, 1),
        ("upload", 0, 1),
        ("ingest", 0, 2),
        ("stray", 0, 1),
        ("check", 0, 1),
        ("ingest", 0, 3),
        ("heal", 0, 1),
    ]
)
@example(
    [
        ("upload", 0, 1),
        ("ingest", 0, 1),
        ("check", 0, 1),
        ("correct", 0, 1),
        ("upload", 1, 1),
        ("ingest all", 1, 1),
        ("check", 1, 1),
    ]
)
@pytest.mark.hypothesis
def test_the_sheet_adds_up_whatever_was_done(folder_of_sites: Path, steps: list[tuple[str, int, int]]) -> None:
    site, done = Site(folder_of_sites / "site"), []
    for action, which, row in steps:
        batches = list(Batch.objects.order_by("pk"))
        batch = batches[which % len(batches)]
        site.perform(action, batch, row)
        done.append((action, batch.bid, row))
        site.verify(done)
