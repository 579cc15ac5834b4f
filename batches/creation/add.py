"""`batch add`: adds a batch from a folder, all of it or nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from batches.choices import Action, BatchStatus, MapOutcome, UploadOutcome
from batches.corrections.identifiers import fill_identifiers, identifier_column
from batches.corrections.links import link_corrections
from batches.corrections.status import count_resent
from batches.creation import sources
from batches.creation.csv_reader import CsvFormat, RowError
from batches.creation.plain_folder import DEFAULT_PATTERNS, list_folder
from batches.creation.sources import KeyTemplate, SourceRow
from batches.keys import comparable, comparison_form, digest, is_batch_id
from batches.models import Batch, BatchRecord
from batches.querysets import identifier_in
from batches.tags import add_tags
from core.exceptions import OperationRefused

CHUNK_SIZE = 1000
MAX_ERRORS = 20
"""After this many wrong rows reading stops."""
MAX_RECTYPE_LENGTH, MAX_PATH_LENGTH = 100, 1024


@dataclass
class AddSummary:
    """What was added, in numbers."""

    records: int = 0
    mapped: int = 0
    map_errs: int = 0
    map_warns: int = 0
    sendable: int = 0
    unuploadable: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    """How many records have each action, by their keys."""
    notes: list[str] = field(default_factory=list)
    """What was left out of a folder of files, or looks like another record, a line each."""
    resent: dict[str, int] = field(default_factory=dict)
    """How many failed records of which batch are in it, by the ids of the batches that it corrects."""

    def add(self, row: SourceRow) -> None:
        """Counts one more row."""
        self.records += 1
        self.actions.update([row.parts.action] if row.parts else [])
        self.mapped += row.map_outcome == MapOutcome.SUCCESS
        self.map_errs += row.map_outcome == MapOutcome.FAILURE
        self.map_warns += row.warned
        self.sendable += row.upload_outcome == UploadOutcome.PENDING
        self.unuploadable += row.upload_outcome == UploadOutcome.UNUPLOADABLE


def add_batch(
    bid: str,
    folder: Path,
    *,
    rectype: str,
    action: str | None,
    path: str,
    who: str,
    patterns: Sequence[str] = (),
    encoding: str | None = None,
    corrects: Sequence[Batch] = (),
    tags: Sequence[str] = (),
    dry_run: bool = False,
) -> tuple[Batch, AddSummary]:
    """Adds the batch and its records in one transaction; `dry_run` rolls it back.

    A folder with a mapper_report.csv becomes a mapped batch with the keys and actions of the report (without
    `action`, its own is the most frequent of them); of any other folder the files that match `patterns` (`*.xml`) become records.
    `corrects`: batches whose failed records these are, of the same record type.
    Raises OperationRefused with the rows that are wrong; then nothing is written.
    """
    if not is_batch_id(bid):
        raise OperationRefused(f"{bid!r} is not a batch id: use 1 to 6 letters and digits.")
    if not folder.is_dir():
        raise OperationRefused(f"There is no folder {folder}.")
    folder = folder.resolve()
    if len(rectype) > MAX_RECTYPE_LENGTH or len(str(folder)) > MAX_PATH_LENGTH:
        raise OperationRefused(
            f"The record type can have {MAX_RECTYPE_LENGTH} characters, the path of the folder {MAX_PATH_LENGTH}."
        )
    if Batch.objects.filter(bid=bid).exists():
        raise _already_exists(bid)
    batch = Batch(
        bid=bid,
        rectype=rectype,
        action=action or Action.CREATE,
        folder=str(folder),
        added_by=who,
        host=settings.HOST_NAME,
    )
    notes: list[str] = []
    if sources.has_report(folder):
        if patterns:
            raise OperationRefused(f"The {sources.MAPPER_REPORT} of {folder} lists its files. Omit --pattern.")
        form = CsvFormat(encoding=encoding)
        batch.status = BatchStatus.MAPPED
        batch.mapped_at = datetime.fromtimestamp((folder / sources.MAPPER_REPORT).stat().st_mtime, UTC)
        batch.source_columns = json.dumps(sources.report_columns(folder, form=form), ensure_ascii=False)
        rows = sources.report_rows(folder, batch.bid, form=form)
    else:
        listing = list_folder(folder, patterns or DEFAULT_PATTERNS, sources.STEP_REPORTS)
        batch.source_columns = json.dumps(sources.file_columns())
        rows = iter(sources.file_rows(listing.files, KeyTemplate(batch.bid, path, batch.action)))
        notes = listing.notes()
    with transaction.atomic():
        save_new(batch)
        summary = save_records(batch, rows)
        summary.notes += notes
        if not action and summary.actions:
            # The most frequent one; the first of Action if there are several.
            batch.action = max(Action.values, key=lambda value: summary.actions[value])
        batch.record_count = summary.records
        if batch.status == BatchStatus.MAPPED:
            batch.map_oks, batch.map_errs, batch.map_warns = summary.mapped, summary.map_errs, summary.map_warns
        batch.save(update_fields=["record_count", "action", "map_oks", "map_errs", "map_warns"])
        link_corrections(batch, corrects)
        add_tags(batch, tags)
        summary.resent = {parent.bid: count_resent(parent, batch) for parent in corrects}
        transaction.set_rollback(dry_run)
    return batch, summary


def _already_exists(bid: str) -> OperationRefused:
    return OperationRefused(f"Batch {bid} already exists. Use another id. To show it: manage.py batch show {bid}")


def save_new(batch: Batch) -> None:
    """Saves a new batch. Raises OperationRefused if it already exists."""
    try:
        # In a savepoint, so that the transaction survives if another process was faster.
        with transaction.atomic():
            batch.save(force_insert=True)
    except IntegrityError as error:
        raise _already_exists(batch.bid) from error


def save_records(batch: Batch, rows: Iterable[SourceRow | RowError]) -> AddSummary:
    """Writes a record for each row, a chunk at a time. Raises OperationRefused if a row is wrong, or there is none: call it
    inside a transaction, to roll back the chunks before."""
    summary, errors = AddSummary(), []
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK_SIZE)):
        good = [row for row in chunk if isinstance(row, SourceRow)]
        errors += [str(row) for row in chunk if isinstance(row, RowError)]
        errors += _repeated_identifiers(batch, good, summary)
        if len(errors) > MAX_ERRORS:
            break
        if not errors:
            BatchRecord.objects.bulk_create([_new_record(batch, row) for row in good], batch_size=CHUNK_SIZE)
        for row in good:
            summary.add(row)
    if errors:
        more = ["… and more"] if len(errors) > MAX_ERRORS else []
        raise OperationRefused(f"Nothing was added: errors in {batch.folder}.", [*errors[:MAX_ERRORS], *more])
    if not summary.records:
        raise OperationRefused(f"{batch.folder} contains no records.")
    fill_identifiers(batch, identifier_column(batch))
    return summary


def _repeated_identifiers(batch: Batch, rows: list[SourceRow], summary: AddSummary) -> Iterator[str]:
    """An error for each row whose identifier people take for that of an earlier row; so no key occurs twice.

    Of a batch that was uploaded that is only a note, unless the bytes are the same: it happened.
    """
    identifiers = {row.parts.identifier for row in rows if row.parts}
    saved = BatchRecord.objects.filter(identifier_in(identifiers), batch=batch).values_list("identifier", "row")
    first_rows = {comparable(identifier or ""): (identifier, row) for identifier, row in saved.order_by("-row")}
    exact_rows = {(identifier or "") for identifier, _row in saved}
    for row in rows:
        if not row.parts:
            continue
        identifier = row.parts.identifier
        first, first_row = first_rows.setdefault(comparable(identifier), (identifier, row.row))
        is_repeated, is_similar = identifier in exact_rows, first_row != row.row
        exact_rows.add(identifier)
        if is_repeated:
            yield f"row {row.row}: the identifier {identifier!r} is also in row {first_row}"
        elif is_similar:
            text = (
                f"row {row.row}: the identifier {identifier!a} is also in row {first_row}, as {first!a}:"
                " people see no difference"
            )
            if not batch.was_uploaded:
                yield text
            elif len(summary.notes) < MAX_ERRORS:
                summary.notes.append(text)


def _new_record(batch: Batch, row: SourceRow) -> BatchRecord:
    return BatchRecord(
        batch=batch,
        row=row.row,
        key=row.key,
        # A key contains no space, so this can't be the digest of one.
        key_digest=digest(row.key or f"row {row.row}"),
        identifier=row.parts and row.parts.identifier,
        identifier_norm=row.parts and comparison_form(row.parts.identifier),
        action=row.parts and row.parts.action,
        path=row.parts and row.parts.path,
        file=row.file,
        size=row.size,
        map_outcome=row.map_outcome,
        upload_outcome=row.upload_outcome,
        upload_message=row.message,
        source=row.source,
    )
