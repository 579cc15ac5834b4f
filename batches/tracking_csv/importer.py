"""`batch import`: a batches CSV and the folders that it names, each batch whole or not at all (domain.md 1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from django.conf import settings
from django.db import transaction

from batches.choices import StepKind
from batches.creation import csv_reader, sources
from batches.creation.add import save_new
from batches.creation.csv_reader import RowError
from batches.keys import is_batch_id
from batches.models import Batch, BatchStep, IngestCheck
from batches.step_log import record_step
from batches.tracking_csv import columns
from batches.tracking_csv.imported_records import ImportedRecords, import_records
from core.exceptions import OperationRefused

MOST_NAMED = 5


class RowOutcome(Enum):
    """What became of a row of the file."""

    NEW = "taken"
    CHANGED = "taken anew"
    SAME = "unchanged"
    REFUSED = "not taken"


@dataclass
class ImportSummary:
    """One row of the file, and what became of it."""

    line: int
    bid: str
    fate: RowOutcome
    taken: ImportedRecords = field(default_factory=ImportedRecords)
    notes: list[str] = field(default_factory=list)
    """What could not be taken, and why."""


def import_batches(
    path: Path, *, who: str, folders: Path | None = None, delimiter: str = ",", dry_run: bool = False
) -> Iterator[ImportSummary]:
    """Takes each row of the file in a transaction of its own, in their order; what is the same already stays untouched.

    `folders`: where the batch folders are, when `dir` does not say so; else relative ones start at the file's own folder.
    Raises OperationRefused when the file as a whole can't be read.
    """
    rows = csv_reader.read_rows(path, delimiter)
    header = _header(path, rows, delimiter)
    seen: dict[str, int] = {}
    for line, values in rows:
        bid = values[header.index("id")].strip() if len(values) == len(header) else ""
        try:
            csv_reader.validate_row(values, header)
            _check_id(bid, line, seen)
            row = dict(zip(header, values, strict=True))
            yield _import_row(_Row(line, bid, row, _batch_folder(row, bid, folders, path.parent)), who, dry_run=dry_run)
        except OperationRefused as error:
            yield ImportSummary(line, bid or "?", RowOutcome.REFUSED, notes=[str(error)])
        except OSError as error:
            yield ImportSummary(
                line, bid, RowOutcome.REFUSED, notes=[f"{error.filename} can't be read: {error.strerror}"]
            )


def unknown_columns(path: Path, delimiter: str = ",") -> list[str]:
    """Columns of the file that no batches CSV has: nothing of them is taken. Raises OperationRefused."""
    return [
        name for name in _header(path, csv_reader.read_rows(path, delimiter), delimiter) if name not in columns.NAMES
    ]


@dataclass
class _Row:
    line: int
    bid: str
    cells: dict[str, str]
    folder: Path | None
    """The batch folder, where there is one."""

    @property
    def has_reports(self) -> bool:
        """Whether the folder says anything of records."""
        return any((self.folder / name).is_file() for name in sources.STEP_REPORTS) if self.folder else False

    def digest(self) -> str:
        """Of all that the folder says."""
        found = hashlib.blake2b(str(self.folder or "").encode(errors="replace"), digest_size=16)
        for name in sorted(sources.STEP_REPORTS) if self.folder else ():
            report = (self.folder or Path()) / name
            if report.is_file():
                found.update(f"\0{name}\0".encode())
                with report.open("rb") as file:
                    while some := file.read(1 << 16):
                        found.update(some)
        return found.hexdigest()


def _header(path: Path, rows: Iterator[tuple[int, list[str]]], delimiter: str) -> list[str]:
    try:
        _, first = next(rows, (0, list[str]()))
        return csv_reader.read_header(
            path, iter([(1, [name.strip() for name in first])]), ("id", "action"), "batches CSV"
        )
    except OperationRefused as error:
        raise OperationRefused(
            f"{error} Columns are separated by {delimiter!r}: --delimiter says otherwise."
        ) from error


def _check_id(bid: str, line: int, seen: dict[str, int]) -> None:
    if not is_batch_id(bid):
        raise RowError(f"{bid!r} is no batch id: 1 to 6 letters and digits")
    before = seen.setdefault(bid, line)
    if before != line:
        raise RowError(f"the id stands in line {before}, too")


def _batch_folder(row: dict[str, str], bid: str, folders: Path | None, beside: Path) -> Path | None:
    named = row.get("dir", "").strip()
    base = folders or beside
    candidates = [base / named, base / Path(named).name] if named else [folders / bid] if folders else []
    try:
        return next((one.resolve() for one in candidates if one.is_dir()), None)
    except (OSError, ValueError):  # a name that no file system knows
        return None


def _import_row(row: _Row, who: str, *, dry_run: bool) -> ImportSummary:
    known = Batch.objects.filter(bid=row.bid).first()
    digest = row.digest()
    if known:
        if differs := _differences(known, row):
            _ensure_same_batch(known, differs)
        elif known.import_digest in (None, digest) or not row.has_reports or _was_modified_here(known):
            return ImportSummary(row.line, row.bid, RowOutcome.SAME)
    with transaction.atomic():
        result = _write(row, known and _locked(known), digest, who)
        transaction.set_rollback(dry_run)
    return result


def _locked(batch: Batch) -> Batch:
    """The batch again, locked until the transaction ends. Raises OperationRefused when something was done with it meanwhile."""
    again = Batch.objects.select_for_update().get(pk=batch.pk)
    if _was_modified_here(again):
        raise OperationRefused(f"something was done with {batch} while its row was read: it stays as it is")
    return again


def _differences(batch: Batch, row: _Row) -> list[str]:
    """The columns of the file that say something else than an export would, with both."""
    now = columns.cells(batch)
    pairs = [(name, row.cells[name], now[name]) for name in columns.NAMES if name in row.cells]
    return [f"{name}: {there[:60]!r} there, {here[:60]!r} here" for name, there, here in pairs if there != here]


def _was_modified_here(batch: Batch) -> bool:
    """Whether anything was done with it here but importing it."""
    done = BatchStep.objects.filter(batch=batch).exclude(kind=StepKind.IMPORT)
    if batch.import_digest is None or batch.upload_owner:
        return True
    return done.exists() or IngestCheck.objects.filter(batch=batch).exists()


def _ensure_same_batch(batch: Batch, differs: list[str]) -> None:
    if _was_modified_here(batch):
        more = f"; and {len(differs) - MOST_NAMED} more" if len(differs) > MOST_NAMED else ""
        raise OperationRefused(
            f"there is a batch {batch} with a life of its own here, and it differs: {'; '.join(differs[:MOST_NAMED])}{more}."
            " It stays as it is here; to see it: manage.py batch show " + batch.bid
        )


def _write(row: _Row, known: Batch | None, digest: str, who: str) -> ImportSummary:
    batch = known or Batch(bid=row.bid, added_by=who, host=settings.HOST_NAME)
    # Where the folder is not to be found any more, what was taken from it stays.
    stay = known is not None and not row.has_reports and known.records.exists()
    folder, import_digest = (batch.folder, batch.import_digest) if stay else (str(row.folder or ""), digest)
    notes = columns.apply_row(batch, row.cells)
    _fill_from_reports(batch, row)
    batch.folder, batch.import_digest = folder or batch.folder, import_digest
    columns.keep_cells(batch, row.cells)
    _save(batch, known, keep_records=stay)
    if stay:
        taken = ImportedRecords(
            notes=[f"no reports in its folder ({row.cells.get('dir', '')!r}): its records stay as they are"]
        )
    else:
        taken = import_records(batch, row.folder)
        batch.save(update_fields=["source_columns"])
    record_step(batch, StepKind.IMPORT, who, touched=taken.records, note=", ".join(taken.reports))
    return ImportSummary(row.line, row.bid, RowOutcome.CHANGED if known else RowOutcome.NEW, taken, notes + taken.notes)


def _save(batch: Batch, known: Batch | None, *, keep_records: bool) -> None:
    if known:
        if not keep_records:
            batch.records.all().delete()
        batch.save()
        return
    try:
        save_new(batch)
    except OperationRefused as error:
        raise OperationRefused(f"somebody else added {batch} in this moment: import the file again") from error


def _fill_from_reports(batch: Batch, row: _Row) -> None:
    """What the file does not say in so many words."""
    if not batch.action:
        raise RowError(f"its action is {row.cells['action']!r}, and must be create, update or delete")
    uploaded = batch.status in ("uploaded", "ingested")
    batch.upload_started = (batch.ingest_start_time or batch.uploaded_at) if uploaded else None
    batch.upload_finished = (batch.uploaded_at or batch.ingest_start_time) if uploaded else None
