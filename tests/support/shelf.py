"""Batches in this process, their objects in a folder: for tests that need neither a server nor a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from batches.choices import BatchStatus, UploadOutcome
from batches.keys import digest, encode
from batches.models import Batch, BatchRecord

PATH = "/collectionobjects"


@dataclass
class Shelf:
    """A folder as the bucket, with batches in it."""

    bucket: Path
    files: Path
    reports: Path

    def batch(self, bid: str, *identifiers: str, rectype: str = "collectionobject", action: str = "CREATE") -> Batch:
        """A batch that is uploaded: its objects are in the bucket, its files in a folder of its own."""
        now = timezone.now()
        folder = self.files / bid
        folder.mkdir()
        batch = Batch.objects.create(
            bid=bid,
            rectype=rectype,
            action=action,
            folder=str(folder),
            status=BatchStatus.UPLOADED,
            store_url=self.bucket.as_uri(),
            record_count=len(identifiers),
            upload_runs=1,
            upload_oks=len(identifiers),
            upload_errs=0,
            uploaded_at=now,
            upload_started=now,
            upload_finished=now,
            ingest_start_time=now,
        )
        for row, identifier in enumerate(identifiers, 1):
            key = self.key(bid, identifier, action)
            (self.bucket / key).write_text("<xml/>")
            (folder / f"{row}.xml").write_text("<xml/>")
            BatchRecord.objects.create(
                batch=batch,
                row=row,
                key=key,
                key_digest=digest(key),
                identifier=identifier,
                action=action,
                path=PATH,
                file=f"{row}.xml",
                upload_outcome=UploadOutcome.SUCCESS,
                source=f'["{identifier}"]',
            )
        return batch

    @staticmethod
    def key(bid: str, identifier: str, action: str = "CREATE") -> str:
        """The key of a record."""
        return encode(bid, PATH, identifier, action)

    def ingest(self, batch: Batch, *identifiers: str) -> None:
        """Takes these objects away, as the Lambda does."""
        for one in identifiers:
            (self.bucket / self.key(batch.bid, one, batch.action)).unlink()

    def left(self) -> set[str]:
        """The names in the bucket."""
        return {path.name for path in self.bucket.iterdir()}

    @staticmethod
    def outcomes(batch: Batch) -> list[str]:
        """What became of the upload of each record, in their order."""
        return list(BatchRecord.objects.filter(batch=batch).order_by("row").values_list("upload_outcome", flat=True))


@pytest.fixture
def shelf(tmp_path: Path, settings: Settings) -> Shelf:
    """A folder as the bucket."""
    folders = [tmp_path / name for name in ("bucket", "files", "reports")]
    for folder in folders:
        folder.mkdir()
    settings.REPORTS_DIR = folders[2]
    settings.BATCH_STORE_URL = folders[0].as_uri()
    return Shelf(*folders)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command in this process: its exit status, and all that it wrote."""
    from django.core.management import call_command
    from django.core.management.base import CommandError

    def call(*words: str) -> tuple[int, str]:
        status, refusal = 0, ""
        try:
            call_command(*words)
        except SystemExit as end:
            status = int(end.code or 0)
        except CommandError as error:
            status, refusal = error.returncode, str(error)
        said = capsys.readouterr()
        return status, said.out + said.err + refusal

    return call
