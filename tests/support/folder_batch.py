"""A batch whose bucket is a folder, for tests that need no process and no server.

To use it: `pytest_plugins = ["tests.support.folder_batch"]`, and a database.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from batches.choices import BatchStatus, IngestOutcome, UploadOutcome
from batches.ingest_log import cloudwatch
from batches.keys import digest, encode
from batches.models import Batch, BatchRecord
from sandbox.logs import LogsSandbox

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

    def result(self, failed: Collection[str], *, done: datetime) -> None:
        """Writes a result as a check would, without any bucket."""
        records = BatchRecord.objects.filter(batch=self.batch)
        records.update(ingest_outcome=IngestOutcome.SUCCESS)
        records.filter(identifier__in=failed).update(ingest_outcome=IngestOutcome.FAILURE)
        Batch.objects.filter(pk=self.batch.pk).update(
            status=BatchStatus.INGESTED,
            ingest_done_at=done,
            ingest_complete_time=done,
            ingest_errs=len(failed),
            ingest_oks=(self.batch.upload_oks or 0) - len(failed),
            result_changed_at=done,
        )

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

_COLUMNS = ["batch_id", "row", "key", "key_digest", "identifier", "action", "path", "upload_outcome", "source"]


def _insert(made: FolderBatch, rows: Sequence[tuple[str, UploadOutcome]]) -> None:
    """Records, past the models: there may be 30,000."""
    values = [
        (made.batch.pk, row, key, digest(key), one, "CREATE", PATH, outcome.value, f'["{one}"]')
        for row, (one, outcome, key) in enumerate(((one, how, made.key(one)) for one, how in rows), 1)
    ]
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    marks = ", ".join(["%s"] * len(_COLUMNS))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO batches_batchrecord ({names}) VALUES ({marks})", values)


@pytest.fixture
def folder_batch(tmp_path: Path, settings: Settings) -> Seed:
    """Makes one: `folder_batch("plc", ["a", "b"])`; records of `uncertain` have an unclear upload and no object."""
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    settings.REPORTS_DIR = tmp_path / "reports"

    def make(bid: str, sent: Sequence[str], uncertain: Sequence[str] = (), *, in_bucket: bool = True) -> FolderBatch:
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
        _insert(made, rows)
        if in_bucket:
            made.put(*sent)
        return made

    return make


GROUP = "/aws/lambda/ingest"


@pytest.fixture(scope="session")
def logs_process() -> Iterator[LogsSandbox]:
    """Take `logs`, or `log_group`."""
    with LogsSandbox() as server:
        yield server


@pytest.fixture
def log_group(logs_process: LogsSandbox) -> str:
    """The name of a fresh log group in a stand-in of CloudWatch Logs."""
    name = f"{GROUP}-{secrets.token_hex(4)}"
    logs_process.call("POST", "groups", group=name)
    return name


@pytest.fixture
def logs(logs_process: LogsSandbox, log_group: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> LogsSandbox:
    """CloudWatch Logs without faults; this process reads `log_group` there."""
    logs_process.clear_faults()
    logs_process.clear_log()
    logs_process.set(empty_every=0, largest_page=10_000, mixed=0, tokens="none")
    settings.INGEST_LOG_GROUP = log_group
    environment = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", **logs_process.environ()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cloudwatch, "MAX_ATTEMPTS", 1)
    return logs_process
