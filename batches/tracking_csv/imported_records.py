"""The records of an imported batch, from the step reports of its folder; nothing is guessed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from batches.choices import NOT_UPLOADED, TO_SEND, UNCLEAR, BatchStatus, IngestOutcome, UploadOutcome, action_counts
from batches.creation import sources
from batches.creation.add import save_records
from batches.creation.csv_reader import AS_FOUND, CsvFormat
from batches.ingest.check import write_outcomes
from batches.models import Batch, BatchRecord
from batches.models.record import MAX_MESSAGE_LENGTH
from batches.tracking_csv.step_reports import MAX_EXAMPLES, ReportSummary, apply_ingest, apply_upload, reports_uploads

NOT_REPORTED_MESSAGE = "no upload_report.csv reports its upload: it may have been ingested"
CONTRADICTED_MESSAGE = "the tracking CSV counts more uploads than the report: it may have been ingested"
_UNREPORTED = (UploadOutcome.PENDING, UploadOutcome.UNUPLOADABLE)


@dataclass
class ImportedRecords:
    """What was imported from the folder."""

    records: int = 0
    reports: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def import_records(batch: Batch, folder: Path | None, form: CsvFormat = AS_FOUND) -> ImportedRecords:
    """Writes the batch's records and their outcomes; call it inside the transaction that writes the batch.

    Rows come from mapper_report.csv (or one of the later reports, if it has all its columns), outcomes from the others, up to
    the status of the batch. Raises OperationRefused for reports that are wrong.
    """
    imported = ImportedRecords()
    if folder is None:
        where = f"folder {batch.folder!r} not found" if batch.folder else "its row names no folder (dir)"
        imported.notes.append(f"{where}: no records imported (use --batch-dir)")
        return imported
    reports = (sources.MAPPER_REPORT, sources.UPLOAD_REPORT, sources.INGEST_REPORT)
    names = [name for name in reports if (folder / name).is_file()]
    if not names:
        imported.notes.append(f"{folder} has no mapper_report.csv: no records imported")
        return imported
    batch.source_columns = json.dumps(sources.report_columns(folder, names[0], form), ensure_ascii=False)
    summary = save_records(batch, sources.report_rows(folder, batch.bid, names[0], form))
    imported.records = summary.records
    imported.notes += summary.notes
    if set(summary.actions) - {batch.action}:
        imported.notes.append(f"action is {batch.action.lower()}; by their keys: {action_counts(summary.actions)}")
    imported.reports.append(names[0])
    if batch.record_count not in (None, imported.records):
        imported.notes.append(f"rec_ct is {batch.record_count}, but {names[0]} has {imported.records} rows")
    if batch.status in (BatchStatus.UPLOADED, BatchStatus.INGESTED):
        _import_upload_outcomes(batch, folder, imported, form)
    if batch.status == BatchStatus.INGESTED:
        report = folder / sources.INGEST_REPORT
        if report.is_file():
            _add_notes(apply_ingest(batch, report, form), report, imported)
            # The numbers of the result, where the row does not say them.
            uploaded = batch.records.filter(upload_outcome=UploadOutcome.SUCCESS)
            if batch.ingest_errs is None:
                batch.ingest_errs = uploaded.filter(ingest_outcome=IngestOutcome.FAILURE).count()
            if batch.ingest_oks is None:
                batch.ingest_oks = uploaded.filter(ingest_outcome=IngestOutcome.SUCCESS).count()
        elif batch.ingest_errs == 0:
            write_outcomes(batch, None)
        else:
            imported.notes.append(
                f"no ingest_report.csv, and ingest_errs is {batch.ingest_errs}: the ingest outcome of its records is unknown"
            )
    if unused := [name for name in names if name not in imported.reports]:
        imported.notes.append(f"{', '.join(unused)} not imported: the batch is {batch.status}")
    return imported


def may_have_arrived(batch: Batch) -> bool:
    """Whether an object of its records is, was, or may have been in the bucket."""
    arrived = (UploadOutcome.SUCCESS, UploadOutcome.CLEARED, *UNCLEAR)
    return batch.records.filter(upload_outcome__in=arrived).exists()


def keep_from_sending(batch: Batch, imported: ImportedRecords) -> None:
    """Records of a batch that is uploaded by now, and whose upload no report knows: an upload must not send them."""
    if batch.status not in (BatchStatus.UPLOADED, BatchStatus.INGESTED):
        return
    waiting = batch.records.filter(upload_outcome__in=_UNREPORTED, key__isnull=False)
    if number := waiting.update(upload_outcome=UploadOutcome.UNCERTAIN, upload_message=NOT_REPORTED_MESSAGE):
        imported.notes.append(f"the upload of {number} records is uncertain: no report is there to say")


def _import_upload_outcomes(batch: Batch, folder: Path, imported: ImportedRecords, form: CsvFormat) -> None:
    records = BatchRecord.objects.filter(batch=batch)
    sent = records.filter(upload_outcome__in=_UNREPORTED, key__isnull=False)
    reports = (folder / sources.UPLOAD_REPORT, folder / sources.INGEST_REPORT)
    report = next((path for path in reports if reports_uploads(path, form)), None)
    number = sent.count()
    if report is None and number == batch.upload_oks:
        # All that could be sent were uploaded.
        sent.update(upload_outcome=UploadOutcome.SUCCESS, upload_message=None)
        return
    # Unless a report says otherwise: sending it again could create it twice (promise 9).
    sent.update(upload_outcome=UploadOutcome.UNCERTAIN, upload_message=NOT_REPORTED_MESSAGE)
    if report is None:
        oks = "unknown" if batch.upload_oks is None else batch.upload_oks
        imported.notes.append(f"no upload_report.csv, and upload_oks is {oks} of {number}: their upload is uncertain")
        return
    _add_notes(apply_upload(batch, report, form), report, imported)
    reported = records.filter(upload_outcome=UploadOutcome.SUCCESS).count()
    if batch.upload_oks not in (None, reported):
        imported.notes.append(f"upload_oks is {batch.upload_oks}, but {report.name} has {reported}")
    if max(batch.upload_oks or 0, (batch.ingest_oks or 0) + (batch.ingest_errs or 0)) > reported:
        # More were sent than the report knows: any of those that it says were not.
        missing = records.filter(upload_outcome__in=TO_SEND, key__isnull=False)
        if number := missing.update(upload_outcome=UploadOutcome.UNCERTAIN, upload_message=CONTRADICTED_MESSAGE):
            imported.notes.append(f"so the upload of {number} records that {report.name} does not have is uncertain")
    if batch.upload_oks is None:
        batch.upload_oks = reported
    if batch.upload_errs is None:
        batch.upload_errs = records.filter(upload_outcome__in=NOT_UPLOADED).count()


def _add_notes(summary: ReportSummary, report: Path, imported: ImportedRecords) -> None:
    if report.name not in imported.reports:
        imported.reports.append(report.name)
    if summary.truncated:
        imported.notes.append(
            f"{summary.truncated} messages of {report.name} are longer than {MAX_MESSAGE_LENGTH} characters: truncated"
        )
    if rows := summary.unmatched:
        listed = ", ".join(map(str, rows[:MAX_EXAMPLES])) + (", …" if len(rows) > MAX_EXAMPLES else "")
        imported.notes.append(f"{len(rows)} rows of {report.name} match none of its records (row {listed})")
