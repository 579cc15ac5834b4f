"""The records of an imported batch, from the step reports of its folder: what is known of each, and nothing made up."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from batches.choices import BatchStatus, UploadOutcome
from batches.creation import sources
from batches.creation.add import save_records
from batches.ingest.outcomes import write_outcomes
from batches.models import Batch, BatchRecord
from batches.models.record import LONGEST_MESSAGE
from batches.tracking_csv.step_reports import MOST_NAMED, ReportSummary, apply_ingest, apply_upload, reports_uploads

NO_REASON_REPORTED = "no upload_report.csv says what became of it: it may have been ingested"


@dataclass
class ImportedRecords:
    """What was taken from the folder."""

    records: int = 0
    reports: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def import_records(batch: Batch, folder: Path | None) -> ImportedRecords:
    """Writes the batch's records and their outcomes; call it inside the transaction that writes the batch.

    Rows come from mapper_report.csv (or the one of the later reports that holds all its columns), outcomes from the others, as
    far as the batch's status goes. Raises OperationRefused for reports that are wrong.
    """
    taken = ImportedRecords()
    if folder is None:
        taken.notes.append(
            f"there is no folder {batch.folder!r}: no records taken (--batch-dir says where folders are)"
        )
        return taken
    names = [
        name
        for name in (sources.MAPPER_REPORT, sources.UPLOAD_REPORT, sources.INGEST_REPORT)
        if (folder / name).is_file()
    ]
    if not names:
        taken.notes.append(f"{folder} has no mapper_report.csv: no records taken")
        return taken
    batch.source_columns = json.dumps(sources.report_columns(folder, names[0]), ensure_ascii=False)
    taken.records = save_records(batch, sources.report_rows(folder, batch.bid, names[0])).records
    taken.reports.append(names[0])
    if batch.record_count not in (None, taken.records):
        taken.notes.append(f"rec_ct is {batch.record_count}, and {names[0]} has {taken.records} rows")
    if batch.status in (BatchStatus.UPLOADED, BatchStatus.INGESTED):
        _import_uploads(batch, folder, taken)
    if batch.status == BatchStatus.INGESTED:
        _import_ingest(batch, folder, taken)
    _note_unused(batch, names, taken)
    return taken


def _import_uploads(batch: Batch, folder: Path, taken: ImportedRecords) -> None:
    records = BatchRecord.objects.filter(batch=batch)
    sent = records.filter(upload_outcome__in=[UploadOutcome.PENDING, UploadOutcome.UNUPLOADABLE], key__isnull=False)
    report = next((one for one in _paths(folder) if reports_uploads(one)), None)
    number = sent.count()
    if report is None and number == batch.upload_oks:
        # As many as could be sent were: then each was.
        sent.update(upload_outcome=UploadOutcome.SUCCESS, upload_message=None)
        return
    # Until a report says otherwise: sending it again could create it twice (promise 9).
    sent.update(upload_outcome=UploadOutcome.UNCERTAIN, upload_message=NO_REASON_REPORTED)
    if report is None:
        taken.notes.append(
            f"there is no upload_report.csv, and upload_oks is {batch.upload_oks} of {number}: their upload is uncertain"
        )
        return
    _note(apply_upload(batch, report), report, taken)
    oks = records.filter(upload_outcome=UploadOutcome.SUCCESS).count()
    if batch.upload_oks not in (None, oks):
        taken.notes.append(f"upload_oks is {batch.upload_oks}, and {report.name} has {oks} of them")


def _import_ingest(batch: Batch, folder: Path, taken: ImportedRecords) -> None:
    report = folder / sources.INGEST_REPORT
    if report.is_file():
        _note(apply_ingest(batch, report), report, taken)
    elif batch.ingest_errs == 0:
        write_outcomes(batch, None)
    else:
        taken.notes.append(
            f"there is no ingest_report.csv, and ingest_errs is {batch.ingest_errs}: what became of its records is not known"
        )


def _paths(folder: Path) -> list[Path]:
    return [folder / sources.UPLOAD_REPORT, folder / sources.INGEST_REPORT]


def _note(applied: ReportSummary, report: Path, taken: ImportedRecords) -> None:
    if report.name not in taken.reports:
        taken.reports.append(report.name)
    if applied.cut:
        taken.notes.append(
            f"{applied.cut} messages of {report.name} are longer than {LONGEST_MESSAGE} characters: they are cut"
        )
    if applied.strange:
        rows = ", ".join(map(str, applied.strange[:MOST_NAMED])) + (", …" if len(applied.strange) > MOST_NAMED else "")
        taken.notes.append(f"{len(applied.strange)} rows of {report.name} are none of its records (row {rows})")


def _note_unused(batch: Batch, names: list[str], taken: ImportedRecords) -> None:
    if unused := [name for name in names if name not in taken.reports]:
        taken.notes.append(f"{', '.join(unused)} not taken: the batch is {batch.status}")
