"""Tables of the batches' list pages. Column names are the names in `?sort=` and in the CSV export."""

from __future__ import annotations

from django_tables2 import A

from batches.choices import COLOURS, STATE_COLOURS
from batches.models import BatchRecord
from core.lists.tables import (
    BaseTable,
    ChoiceColumn,
    CodeColumn,
    DateTimeColumn,
    DurationColumn,
    KeyColumn,
    NumberColumn,
    RateColumn,
    SecondsColumn,
    TextColumn,
)
from core.templatetags.formatting import NONE


class BatchTable(BaseTable):
    """All batches. There are at most thousands, so all columns sort."""

    bid = TextColumn("Batch", linkify=("batches:batch", [A("bid")]), orderable=True)
    stands = ChoiceColumn("State", STATE_COLOURS, accessor="state", orderable=True)
    rectype = TextColumn("Record type", orderable=True, wide=True)
    action = CodeColumn("Action", orderable=True, wide=True)
    record_count = NumberColumn("Records", orderable=True)
    upload_errs = NumberColumn("Not uploaded", orderable=True, roomy=True)
    left = NumberColumn("Remaining objects", accessor="remaining", orderable=True)
    open_records = NumberColumn("Open", roomy=True)
    counted = DateTimeColumn("Last checked", accessor="last_counted_at", orderable=True)
    ingest_duration = DurationColumn("Ingest duration", orderable=True, roomy=True)
    added_at = DateTimeColumn("Added", orderable=True, roomy=True)
    added_by = TextColumn("Added by", visible=False)
    status = CodeColumn("Status", visible=False)
    upload_oks = NumberColumn("Uploaded", visible=False)
    uploaded_at = DateTimeColumn("Upload ended", visible=False)
    ingest_oks = NumberColumn("Ingested", visible=False)
    ingest_errs = NumberColumn("Failed to ingest", visible=False)
    ingest_start_time = DateTimeColumn("Ingest started", visible=False)
    ingest_complete_time = DateTimeColumn("Ingest ended", visible=False)
    store_url = TextColumn("Bucket", visible=False)
    archived_at = DateTimeColumn("Archived", visible=False)
    notes = TextColumn("Notes", visible=False)


class RecordTable(BaseTable):
    """Records of one batch."""

    identifier = TextColumn(
        "Record", long=True, empty_values=(), linkify=("batches:record", [A("batch__bid"), A("row")])
    )
    upload_outcome = ChoiceColumn("Upload", COLOURS)
    ingest_outcome = ChoiceColumn("Ingest", COLOURS)
    ingest_message = TextColumn("Message", wide=True, long=True, empty_values=())
    tries = NumberColumn("Tries", roomy=True)
    corrected_in = TextColumn("Corrected in", roomy=True, exported=False)
    row = KeyColumn("Row", orderable=True, wide=True, initial_sort_descending=False)
    action = CodeColumn("Action", visible=False)
    path = TextColumn("Path", visible=False)
    file = TextColumn("File", visible=False)
    size = KeyColumn("Bytes", visible=False)
    map_outcome = CodeColumn("Mapping", visible=False)
    upload_message = TextColumn("Upload message", visible=False)
    ingest_candidate = TextColumn("Possible message", visible=False)
    sent_at = DateTimeColumn("Sent", visible=False)
    healed_at = DateTimeColumn("Healed", visible=False)
    retry_sign = CodeColumn("Retried", visible=False)
    key = TextColumn("Key", visible=False)

    def render_identifier(self, value: str | None) -> str:
        """Also for a record without one, whose page is linked."""
        return value or "no identifier"

    def render_ingest_message(self, record: BatchRecord) -> str:
        """The message of the step that failed; one that only may belong to the record is marked."""
        possible = f"perhaps: {record.ingest_candidate}" if record.ingest_candidate else NONE
        return record.ingest_message or record.upload_message or possible


class RateTable(BaseTable):
    """How fast batches were ingested. There are at most thousands, so all columns sort."""

    bid = TextColumn("Batch", linkify=("batches:batch", [A("bid")]), orderable=True)
    rectype = TextColumn("Record type", orderable=True)
    action = CodeColumn("Action", orderable=True, wide=True)
    ingest_done_at = DateTimeColumn("Ended", form="minute", orderable=True, wide=True)
    ingest_oks = NumberColumn("Ingested", orderable=True)
    rate = RateColumn("Records a minute", orderable=True)
    ingest_duration = DurationColumn("Duration", orderable=True, wide=True)
    first = DurationColumn("Time to first", orderable=True, roomy=True)
    pauses = NumberColumn("Pauses", orderable=True, roomy=True)
    longest_pause = SecondsColumn("Longest pause", orderable=True, roomy=True)
    tries_per_record = RateColumn("Tries per record", orderable=True, roomy=True)
    ingest_start_time = DateTimeColumn("Ingest started", visible=False)
    ingest_complete_time = DateTimeColumn("Ingest ended", visible=False)
    ingest_errs = NumberColumn("Failed to ingest", visible=False)
