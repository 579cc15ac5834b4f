"""A batch whose bucket is a folder, for tests that need no process and no server.

To use it: `pytest_plugins = ["tests.fixtures_ingest"]`, and a database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from batches.choices import BatchStatus, UploadOutcome
from batches.keys import digest, encode
from batches.models import Batch, BatchRecord

PATH = "/collectionobjects"


@dataclass
class FolderBatch:
    """A batch that is uploaded to a folder; its objects are files that a test takes away."""

    batch: Batch
    folder: Path

    def key(self, identifier: str) -> str:
        """The key of a record."""
        return encode(self.batch.bid, PATH, identifier, "CREATE")

    def put(self, *identifiers: str) -> None:
        """Puts objects into the bucket, of records or not."""
        for one in identifiers:
            (self.folder / self.key(one)).write_text("<xml/>")

    def ingest(self, *identifiers: str) -> None:
        """Takes objects out of the bucket, as the ingest does."""
        for one in identifiers:
            (self.folder / self.key(one)).unlink()

    def fresh(self) -> Batch:
        """The batch as it is in the database now."""
        return Batch.objects.get(pk=self.batch.pk)

    def record(self, identifier: str) -> BatchRecord:
        """A record as it is in the database now."""
        return BatchRecord.objects.get(batch=self.batch, identifier=identifier)

    def outcomes(self) -> dict[str | None, str | None]:
        """The ingest outcome of each record, by identifier."""
        return dict(BatchRecord.objects.filter(batch=self.batch).values_list("identifier", "ingest_outcome"))


Seed = Callable[..., FolderBatch]


@pytest.fixture
def folder_batch(tmp_path: Path, settings: object) -> Seed:
    """Makes one: `folder_batch("plc", ["a", "b"])`; records of `uncertain` have an unclear upload and no object."""
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    settings.REPORTS_DIR = tmp_path / "reports"  # type: ignore[attr-defined]

    def make(bid: str, sent: Sequence[str], uncertain: Sequence[str] = ()) -> FolderBatch:
        ago = timezone.now() - timedelta(minutes=5)
        batch = Batch.objects.create(
            bid=bid,
            rectype="collectionobject",
            action="CREATE",
            status=BatchStatus.UPLOADED,
            source_columns='["identifier"]',
            store_url=bucket.as_uri(),
            record_count=len(sent) + len(uncertain),
            upload_runs=1,
            upload_oks=len(sent),
            upload_errs=len(uncertain),
            upload_started=ago,
            upload_finished=ago,
            ingest_start_time=ago,
        )
        made = FolderBatch(batch, bucket)
        rows = [(one, UploadOutcome.SUCCESS) for one in sent] + [(one, UploadOutcome.UNCERTAIN) for one in uncertain]
        BatchRecord.objects.bulk_create(
            BatchRecord(
                batch=batch,
                row=row,
                key=made.key(one),
                key_digest=digest(made.key(one)),
                identifier=one,
                action="CREATE",
                path=PATH,
                upload_outcome=outcome,
                source=f'["{one}"]',
            )
            for row, (one, outcome) in enumerate(rows, 1)
        )
        made.put(*sent)
        return made

    return make
