"""`batch import`: imports a batches CSV and the folders in it, each batch whole or not at all (domain.md 1)."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from django.conf import settings
from django.db import transaction

from batches.choices import BatchStatus, StepKind
from batches.creation import csv_reader, sources
from batches.creation.add import save_new
from batches.creation.csv_reader import CsvFormat, RowError, Table
from batches.creation.named_paths import endings
from batches.keys import batch_of_prefix, is_batch_id
from batches.models import Batch, BatchStep, IngestCheck
from batches.step_log import record_step
from batches.tracking_csv import columns
from batches.tracking_csv.imported_records import ImportedRecords, import_records, keep_from_sending, may_have_arrived
from batches.tracking_csv.progress import progress
from core.exceptions import OperationRefused
from core.formatting import pluralize, printable

MAX_DIFFERENCES = 5
_RULES_VERSION = b"2"


class RowOutcome(Enum):
    """Outcome of a row of the file."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


@dataclass
class ImportSummary:
    """One row of the file, and its outcome."""

    line: int
    bid: str
    outcome: RowOutcome
    imported: ImportedRecords = field(default_factory=ImportedRecords)
    notes: list[str] = field(default_factory=list)
    """What could not be imported, and why."""


def import_batches(
    path: Path,
    *,
    who: str,
    folders: Path | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    dry_run: bool = False,
) -> Iterator[ImportSummary]:
    """Imports each row of the file in a transaction of its own, in their order; a batch that is unchanged is not touched.

    `folders`: where the batch folders are, if not where `dir` says; otherwise relative ones start at the folder of the file.
    `delimiter` and `encoding` are found out if they are not given; a report that is not UTF-8 is read in this encoding, too.
    Raises OperationRefused if the file as a whole can't be read.
    """
    table = _open(path, CsvFormat(delimiter, encoding))
    header = table.columns
    reports = CsvFormat(encoding=encoding)
    lines: dict[str, int] = {}
    for line, values in table.rows():
        bid = values[header.index("id")].strip() if len(values) == len(header) else ""
        try:
            csv_reader.validate_row(values, header)
            if not is_batch_id(bid):
                # A spreadsheet may have made a date or a number of it (`1-Mar`, `1.00E+03`): its prefix says it, too.
                prefix = values[header.index("batch_prefix")].strip() if "batch_prefix" in header else ""
                true_id = batch_of_prefix(prefix)
                hint = f". By its batch_prefix it is {true_id!r}, which a spreadsheet may have changed: correct it"
                raise RowError(f"{bid!r} is not a batch id: use 1 to 6 letters and digits{hint if true_id else ''}")
            if lines.setdefault(bid, line) != line:
                raise RowError(f"the id is also in line {lines[bid]}")
            cells = dict(zip(header, values, strict=True))
            row = _Row(line, bid, cells, _find_folder(cells, bid, folders, path.parent))
            yield _import_row(row, who, reports, dry_run=dry_run)
        except OperationRefused as error:
            yield ImportSummary(line, bid or "?", RowOutcome.REJECTED, notes=[error.text, *error.details])
        except OSError as error:
            note = f"could not read {error.filename}: {error.strerror}"
            yield ImportSummary(line, bid, RowOutcome.REJECTED, notes=[note])


def ignored_parts(path: Path, delimiter: str | None = None, encoding: str | None = None) -> Iterator[str]:
    """A line for each kind of what an import of the file passes over. Raises OperationRefused."""
    table = _open(path, CsvFormat(delimiter, encoding))
    if unknown := [name or "one without a name" for name in table.columns if name not in columns.NAMES]:
        yield f"Unknown columns are ignored: {', '.join(map(printable, unknown))}"
    # What is wrong with a row is reported when it is imported.
    with suppress(OperationRefused):
        deque(table.rows(), maxlen=0)
    if table.empty_columns:
        yield f"{pluralize(table.empty_columns, 'empty column')} at the end ignored."
    if table.empty_rows:
        yield f"{pluralize(table.empty_rows, 'empty row')} ignored."
    if lines := table.short_rows:
        listed = ", ".join(map(str, lines[:MAX_DIFFERENCES])) + (", …" if len(lines) > MAX_DIFFERENCES else "")
        yield f"{pluralize(len(lines), 'row')} shorter than the header: the missing cells are empty (line {listed})."


@dataclass
class _Row:
    line: int
    bid: str
    cells: dict[str, str]
    folder: Path | None
    """The batch folder, if it exists."""

    @property
    def has_reports(self) -> bool:
        """Whether there are step reports in the folder."""
        return any((self.folder / name).is_file() for name in sources.STEP_REPORTS) if self.folder else False

    def digest(self) -> str:
        """Digest of the step reports in the folder. A batch that was imported by an earlier version of the rules has another."""
        folder = str(self.folder or "").encode(errors="replace")
        digest = hashlib.blake2b(folder, digest_size=16, person=_RULES_VERSION)
        for name in sorted(sources.STEP_REPORTS) if self.folder else ():
            report = (self.folder or Path()) / name
            if report.is_file():
                digest.update(f"\0{name}\0".encode())
                with report.open("rb") as file:
                    while chunk := file.read(1 << 16):
                        digest.update(chunk)
        return digest.hexdigest()


def _open(path: Path, form: CsvFormat) -> Table:
    return csv_reader.open_table(path, ("id", "action"), "batches CSV", known=columns.NAMES, form=form)


def _find_folder(cells: dict[str, str], bid: str, folders: Path | None, csv_folder: Path) -> Path | None:
    named = cells.get("dir", "").strip()
    base = folders or csv_folder
    # Relative ones may lead upwards from the file, but not out of --batch-dir.
    exact = [] if folders and ".." in Path(named).parts else [base / named]
    below = [base / ending for ending in endings(named)]
    candidates = [*exact, *below] if named else [folders / bid] if folders else []
    try:
        return next((candidate.resolve() for candidate in candidates if candidate.is_dir()), None)
    except (OSError, ValueError):  # not a valid file name
        return None


def _import_row(row: _Row, who: str, reports: CsvFormat, *, dry_run: bool) -> ImportSummary:
    batch = Batch.objects.filter(bid=row.bid).first()
    digest = row.digest()
    if batch:
        exported = columns.cells(batch)
        differences = [
            f"{name}: {row.cells[name][:60]!r} in the file, {exported[name][:60]!r} here"
            for name in columns.differences(batch, row.cells)
        ]
        if differences and _was_modified_here(batch):
            more = f"; and {len(differences) - MAX_DIFFERENCES} more" if len(differences) > MAX_DIFFERENCES else ""
            raise OperationRefused(
                f"{batch} was modified here since it was imported, and differs: {'; '.join(differences[:MAX_DIFFERENCES])}{more}."
                f" It is not changed; to show it: manage.py batch show {batch}"
            )
        same_reports = batch.import_digest in (None, digest) or not row.has_reports
        if not differences and (same_reports or _was_modified_here(batch)):
            return ImportSummary(row.line, row.bid, RowOutcome.UNCHANGED)
    with transaction.atomic():
        if batch:
            batch = Batch.objects.select_for_update().get(pk=batch.pk)
            if _was_modified_here(batch):
                raise OperationRefused(f"{batch} was modified while its row was being read: it is not changed")
        summary = _write(row, batch, digest, who, reports)
        transaction.set_rollback(dry_run)
    return summary


def _was_modified_here(batch: Batch) -> bool:
    """Whether anything but an import happened to it here."""
    others = (StepKind.IMPORT, StepKind.QUEUE, StepKind.UNQUEUE)
    steps = BatchStep.objects.filter(batch=batch).exclude(kind__in=others)
    if batch.import_digest is None or batch.upload_owner or batch.queued_at:
        return True
    return steps.exists() or IngestCheck.objects.filter(batch=batch).exists()


def _write(row: _Row, existing: Batch | None, digest: str, who: str, reports: CsvFormat) -> ImportSummary:
    batch = existing or Batch(bid=row.bid, added_by=who, host=settings.HOST_NAME)
    # If the folder no longer exists, the records that were imported from it stay.
    keep_records = existing is not None and not row.has_reports and existing.records.exists()
    folder, import_digest = (batch.folder, batch.import_digest) if keep_records else (str(row.folder or ""), digest)
    notes = columns.apply_row(batch, row.cells)
    if not batch.action:
        raise RowError(f"the action is {row.cells['action']!r}, expected create, update or delete")
    reported = [sources.UPLOAD_REPORT, sources.INGEST_REPORT] if row.folder else []
    evidence = [name for name in reported if row.folder and (row.folder / name).is_file()]
    if keep_records and may_have_arrived(batch):
        evidence.append("its records here")
    known = progress(row.cells, evidence)
    batch.status = known.status
    batch.folder, batch.import_digest = folder or batch.folder, import_digest
    if existing:
        if not keep_records:
            batch.records.all().delete()
        batch.save()
    else:
        try:
            save_new(batch)
        except OperationRefused as error:
            raise OperationRefused(
                f"{batch} was added by another process at the same time: run the import again"
            ) from error
    if keep_records:
        note = f"no reports in its folder ({row.cells.get('dir', '')!r}): its records are not changed"
        imported = ImportedRecords(notes=[note])
        keep_from_sending(batch, imported)
    else:
        imported = import_records(batch, row.folder, reports)
    if known.note and batch.status == known.status:
        notes.append(known.note)
    if known.status != known.stated and not may_have_arrived(batch):
        # Reports that say nothing but failures: it is still to be uploaded.
        batch.status = known.stated
    uploaded = batch.status in (BatchStatus.UPLOADED, BatchStatus.INGESTED)
    batch.upload_started = (batch.ingest_start_time or batch.uploaded_at) if uploaded else None
    batch.upload_finished = (batch.uploaded_at or batch.ingest_start_time) if uploaded else None
    columns.save_cells(batch, row.cells)
    batch.save()
    record_step(batch, StepKind.IMPORT, who, touched=imported.records, note=", ".join(imported.reports))
    outcome = RowOutcome.UPDATED if existing else RowOutcome.CREATED
    return ImportSummary(row.line, row.bid, outcome, imported, notes + imported.notes)
