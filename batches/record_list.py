"""In which batches the records of a list are, with the outcome of each: by index, a few hundred at a time, in flat memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from batches.choices import UNCLEAR, Action, IngestOutcome, RecordStatus, UploadOutcome
from batches.keys import comparable
from batches.models import BatchRecord
from core.id_lists import id_terms
from core.id_reports import IdReport, RowKind
from core.temporary import in_pages

COLUMN_NAMES = (
    "identifier", "objectnumber", "recordidentifier", "recordid", "identificationnumber", "idnumber", "accessionnumber",
    "catalognumber", "cataloguenumber", "termdisplayname", "number", "name", "id",
)  # fmt: skip
"""Headings of columns with identifiers, see `core.id_lists.IdTable.guess_column`."""
CHUNK_SIZE = 2000
MAX_TERMS = 4000
MAX_BATCHES = 20
"""Batches that are named for one identifier, the newest first."""


class RecordRow(NamedTuple):
    """One identifier of a list in one batch, or in none."""

    identifier: str
    status: str
    batch: str | None
    row: int | None
    action: str
    upload_outcome: str
    ingest_outcome: str
    message: str
    archived: bool
    known_as: str
    """The identifier that was found, if the list has another text."""


RECORD_ROWS = RowKind(RecordRow._make, RecordRow._fields)
_COLUMNS = (
    "identifier", "identifier_norm", "batch", "batch__bid", "batch__archived_at", "row", "action",
    "upload_outcome", "ingest_outcome", "upload_message", "ingest_message", "ingest_candidate",
)  # fmt: skip


def record_report(identifiers: Iterable[str], *, only_open: bool = False) -> IdReport[RecordRow]:
    """The report about these identifiers; with `only_open` it counts all, and has rows of those that need work."""
    good = {RecordStatus.INGESTED}
    report: IdReport[RecordRow] = IdReport(RECORD_ROWS, RecordStatus.values, good)
    for chunk in in_pages(identifiers, CHUNK_SIZE):
        terms = {text: [comparable(term) for term in id_terms(text)] for text in chunk}
        found = _records({term for some in terms.values() for term in some})
        for text, some in terms.items():
            term = next((one for one in some if one in found), "")
            rows = [_row(text, record) for record in found.get(term, [])[:MAX_BATCHES]]
            if not rows:
                unknown = ("", "", "", "in no batch")
                rows = [RecordRow(text, RecordStatus.UNKNOWN, None, None, *unknown, archived=False, known_as="")]
            # The newest batch decides: a record that failed may have been corrected in a later one.
            status = rows[0].status
            report.add(status, [] if only_open and status in good else rows)
    return report


def totals(report: IdReport[RecordRow]) -> dict[str, int]:
    """Identifiers of the report by status."""
    return {"total": report.total, **{status.value: report.counts[status] for status in RecordStatus}}


def _records(terms: set[str]) -> dict[str, list[dict[str, Any]]]:
    """By the form in which identifiers are compared, newest batch first."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for page in in_pages(sorted(terms), MAX_TERMS):
        some = set(page)
        # Two look-ups, each in its index. That a record has no other form is looked at here: nearly all have none, and
        # a database might take the wrong index for it.
        own = BatchRecord.objects.filter(identifier__among=some).order_by().values(*_COLUMNS)
        others = BatchRecord.objects.filter(identifier_norm__among=some).order_by().values(*_COLUMNS)
        for record in own:
            if record["identifier_norm"] is None:
                found[record["identifier"]].append(record)
        for record in others:
            found[record["identifier_norm"]].append(record)
    for records in found.values():
        records.sort(key=lambda record: (-record["batch"], record["row"]))
    return found


def _row(text: str, record: dict[str, Any]) -> RecordRow:
    message = record["ingest_message"] or record["upload_message"] or ""
    if not message and record["ingest_candidate"]:
        message = f"perhaps: {record['ingest_candidate']}"
    identifier = record["identifier"]
    return RecordRow(
        text,
        record_status(record["upload_outcome"], record["ingest_outcome"]),
        record["batch__bid"],
        record["row"],
        Action(record["action"]).label if record["action"] else "",
        record["upload_outcome"],
        record["ingest_outcome"] or "",
        message,
        record["batch__archived_at"] is not None,
        identifier if identifier != text else "",
    )


def record_status(upload: str, ingest: str | None) -> RecordStatus:
    """What is known about a record with these outcomes."""
    if ingest == IngestOutcome.SUCCESS:
        return RecordStatus.INGESTED
    if ingest == IngestOutcome.UNCERTAIN or upload in UNCLEAR:
        return RecordStatus.UNCERTAIN
    if ingest == IngestOutcome.FAILURE:
        return RecordStatus.FAILED
    if upload == UploadOutcome.SUCCESS:
        return RecordStatus.IN_INGEST
    return RecordStatus.TO_UPLOAD if upload == UploadOutcome.PENDING else RecordStatus.NOT_UPLOADED
