"""Tables of the batches' list pages."""

from __future__ import annotations

from django_tables2 import A

from batches.choices import COLOURS
from batches.models import BatchRecord
from batches.stands import STANDS_COLOURS
from fnloader_site.columns import Code, Key, Lasting, Number, Table, Tag, Text, Time
from fnloader_site.templatetags.saying import NONE


class BatchTable(Table):
    """Batches: where each stands. There are thousands at the most, so that all columns sort."""

    bid = Text("Batch", linkify=("batches:batch", [A("bid")]), orderable=True)
    stands = Tag("State", STANDS_COLOURS, orderable=True)
    rectype = Text("Record type", orderable=True, wide=True)
    action = Code("Action", orderable=True, wide=True)
    record_count = Number("Records", orderable=True)
    upload_errs = Number("Not uploaded", orderable=True, roomy=True)
    left = Number("Left in the bucket", orderable=True)
    counted = Time("Last count", orderable=True)
    ingest_duration = Lasting("Ingest took", orderable=True, roomy=True)
    added_at = Time("Added", orderable=True, roomy=True)
    added_by = Text("By", visible=False)
    status = Code("Status", visible=False)
    upload_oks = Number("Uploaded", visible=False)
    uploaded_at = Time("Upload ended", visible=False)
    ingest_oks = Number("Ingested", visible=False)
    ingest_errs = Number("Failed in the ingest", visible=False)
    ingest_start_time = Time("Ingest began", visible=False)
    ingest_complete_time = Time("Ingest ended", visible=False)
    store_url = Text("Bucket", visible=False)
    archived_at = Time("Archived", visible=False)
    notes = Text("Notes", visible=False)


class RecordTable(Table):
    """Records of one batch."""

    identifier = Text("Record", long=True, default=NONE)
    upload_outcome = Tag("Upload", COLOURS)
    ingest_outcome = Tag("Ingest", COLOURS)
    ingest_message = Text("Why", wide=True, long=True, empty_values=())
    tries = Number("Tries", roomy=True)
    row = Key("Row", orderable=True, wide=True, initial_sort_descending=False)
    action = Code("Action", visible=False)
    path = Text("Path", visible=False)
    file = Text("File", visible=False)
    size = Key("Bytes", visible=False)
    map_outcome = Code("Mapping", visible=False)
    upload_message = Text("Upload's message", visible=False)
    ingest_candidate = Text("Message that may be its", visible=False)
    sent_at = Time("Sent", visible=False)
    healed_at = Time("Healed", visible=False)
    key = Text("Key", visible=False)

    def render_ingest_message(self, record: BatchRecord) -> str:
        """Why it failed in the step in which it did; what the log does not say for certain is marked as such."""
        certain = record.ingest_message or record.upload_message
        perhaps = f"perhaps: {record.ingest_candidate}" if record.ingest_candidate else NONE
        return certain or perhaps
