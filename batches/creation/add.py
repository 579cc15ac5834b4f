"""`batch add`: a batch from a folder, all of it or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from batches.choices import Action, BatchStatus, MapOutcome, UploadOutcome
from batches.creation import sources
from batches.creation.csv_reader import RowError
from batches.creation.sources import KeyTemplate, SourceRow
from batches.keys import digest, is_batch_id
from batches.models import Batch, BatchRecord
from core.exceptions import OperationRefused

CHUNK = 1000
MOST_ERRORS = 20
"""So many wrong rows are named; then reading stops."""


@dataclass
class AddSummary:
    """What was added, in numbers."""

    records: int = 0
    mapped: int = 0
    map_errs: int = 0
    map_warns: int = 0
    sendable: int = 0
    unuploadable: int = 0

    def take(self, row: SourceRow) -> None:
        """Counts one more row."""
        self.records += 1
        self.mapped += row.map_outcome == MapOutcome.SUCCESS
        self.map_errs += row.map_outcome == MapOutcome.FAILURE
        self.map_warns += row.warned
        self.sendable += row.upload_outcome == UploadOutcome.PENDING
        self.unuploadable += row.upload_outcome == UploadOutcome.UNUPLOADABLE


def add_batch(
    bid: str, folder: Path, *, rectype: str, action: str | None, path: str, who: str, dry_run: bool = False
) -> tuple[Batch, AddSummary]:
    """Makes the batch and its records in one transaction; `dry_run` takes everything back at the end.

    A folder with a mapper_report.csv becomes a batch that is mapped: its keys, and with them the actions, are taken as they
    are. Raises OperationRefused, with the rows that are wrong, and then nothing was written.
    """
    _ensure_new(bid, folder, rectype)
    folder = folder.resolve()
    batch = Batch(
        bid=bid,
        rectype=rectype,
        action=action or Action.CREATE,
        folder=str(folder),
        added_by=who,
        host=settings.HOST_NAME,
    )
    rows = _rows_of(batch, folder, action, path)
    with transaction.atomic():
        save_new(batch)
        added = save_records(batch, rows)
        _count(batch, added)
        transaction.set_rollback(dry_run)
    return batch, added


def _rows_of(batch: Batch, folder: Path, action: str | None, path: str) -> Iterator[SourceRow | RowError]:
    """The rows of the folder; notes on the batch what the kind of folder says."""
    if not sources.has_report(folder):
        batch.source_columns = json.dumps(sources.file_columns())
        return iter(sources.file_rows(folder, KeyTemplate(batch.bid, path, batch.action)))
    batch.status = BatchStatus.MAPPED
    report = folder / sources.MAPPER_REPORT
    batch.mapped_at = datetime.fromtimestamp(report.stat().st_mtime, UTC)
    batch.source_columns = json.dumps(sources.report_columns(folder), ensure_ascii=False)
    return _with_action(batch, action, sources.report_rows(folder, batch.bid))


def _with_action(
    batch: Batch, action: str | None, rows: Iterator[SourceRow | RowError]
) -> Iterator[SourceRow | RowError]:
    """The rows; the batch gets the action of the first key, which must be `action` where one was asked for."""
    known = False
    for row in rows:
        if not known and isinstance(row, SourceRow) and row.parts:
            if action and action != row.parts.action:
                raise OperationRefused(
                    f"row {row.row}: its key says {row.parts.action}, and --action is {action.lower()}. Leave --action out."
                )
            batch.action, known = row.parts.action, True
        yield row


def _ensure_new(bid: str, folder: Path, rectype: str) -> None:
    if not is_batch_id(bid):
        raise OperationRefused(f"{bid!r} is no batch id: give 1 to 6 letters and digits.")
    if not folder.is_dir():
        raise OperationRefused(f"There is no folder {folder}.")
    if len(rectype) > 100 or len(str(folder.resolve())) > 1024:
        raise OperationRefused("The record type may have 100 characters, and the folder's path 1024.")
    if Batch.objects.filter(bid=bid).exists():
        raise OperationRefused(_existing_bids(bid))


def _existing_bids(bid: str) -> str:
    return f"There is a batch {bid} already: give another id. `manage.py batch show {bid}` says what it is."


def save_new(batch: Batch) -> None:
    """Saves a batch that must not be there yet. Raises OperationRefused when another process was faster."""
    try:
        # Within a savepoint, so that the transaction survives when another process was faster.
        with transaction.atomic():
            batch.save(force_insert=True)
    except IntegrityError as error:
        raise OperationRefused(_existing_bids(batch.bid)) from error


def save_records(batch: Batch, rows: Iterable[SourceRow | RowError]) -> AddSummary:
    """Writes a record for each row, a chunk at a time. Raises OperationRefused when a row is wrong, or there is none: call it
    inside a transaction, which takes back what is written already."""
    added, errors = AddSummary(), []
    rest = iter(rows)
    while chunk := list(islice(rest, CHUNK)):
        good = [row for row in chunk if isinstance(row, SourceRow)]
        errors += [str(row) for row in chunk if isinstance(row, RowError)]
        errors += _repeated_identifiers(batch, good)
        if len(errors) > MOST_ERRORS:
            break
        if not errors:
            BatchRecord.objects.bulk_create([_record(batch, row) for row in good], batch_size=CHUNK)
        for row in good:
            added.take(row)
    if errors:
        more = ["… and more"] if len(errors) > MOST_ERRORS else []
        raise OperationRefused(
            "\n  ".join([f"Nothing was added, {batch.folder} has faults:", *errors[:MOST_ERRORS], *more])
        )
    if not added.records:
        raise OperationRefused(f"{batch.folder} holds no records.")
    return added


def _repeated_identifiers(batch: Batch, rows: list[SourceRow]) -> Iterator[str]:
    """A line for each row whose identifier stands in an earlier row, too; without that no key stands twice."""
    wanted = [row.parts.identifier for row in rows if row.parts]
    known = BatchRecord.objects.filter(batch=batch, identifier__in=wanted)
    first = dict(known.values_list("identifier", "row"))
    for row in rows:
        before = first.setdefault(row.parts.identifier, row.row) if row.parts else row.row
        if row.parts and before != row.row:
            yield f"row {row.row}: the identifier {row.parts.identifier!r} stands in row {before}, too"


def _record(batch: Batch, row: SourceRow) -> BatchRecord:
    return BatchRecord(
        batch=batch,
        row=row.row,
        key=row.key,
        # A key holds no space, so this can't be the digest of one.
        key_digest=digest(row.key or f"row {row.row}"),
        identifier=row.parts and row.parts.identifier,
        action=row.parts and row.parts.action,
        path=row.parts and row.parts.path,
        file=row.file,
        size=row.size,
        map_outcome=row.map_outcome,
        upload_outcome=row.upload_outcome,
        upload_message=row.message,
        source=row.source,
    )


def _count(batch: Batch, added: AddSummary) -> None:
    batch.record_count = added.records
    if batch.status == BatchStatus.MAPPED:
        batch.map_oks, batch.map_errs, batch.map_warns = added.mapped, added.map_errs, added.map_warns
    batch.save(update_fields=["record_count", "action", "map_oks", "map_errs", "map_warns"])
