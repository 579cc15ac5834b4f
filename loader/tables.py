"""Tables of the loader's list pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_tables2 import A

from core.lists.tables import BaseTable, ChoiceColumn, DateTimeColumn, KeyColumn, NumberColumn, TextColumn
from core.templatetags.formatting import NONE, local_time
from loader.choices import (
    FEED_STATE_COLOURS,
    FINDING_COLOURS,
    OBJECT_STATE_COLOURS,
    OUTCOME_COLOURS,
    RESULT_COLOURS,
    TWIN_COLOURS,
)
from loader.outlook import outlooks


def _feed_url(record: Any) -> str | None:  # noqa: ANN401 - a row of any of the tables below
    return reverse("loader:feed", args=[record.feed.name]) if record.feed else None


class FeedTable(BaseTable):
    """Feeds with state and queue."""

    name = TextColumn("Feed", linkify=("loader:feed", [A("name")]), orderable=True)
    stands = ChoiceColumn("State", FEED_STATE_COLOURS, orderable=True)
    waiting = NumberColumn("Waiting", orderable=True)
    oldest = DateTimeColumn("Oldest waiting", form="minute", orderable=True)
    rate = NumberColumn("Loaded, last hour", orderable=True)
    outlook = TextColumn("Done", empty_values=(), wide=True, exported=False)
    rejected = NumberColumn("Rejected", orderable=True)
    number_in_server = NumberColumn("In server", accessor="server__number_in_server", wide=True, orderable=True)
    checked_at = DateTimeColumn("Last checked", form="minute", orderable=True, wide=True)
    server = TextColumn("Server", accessor="server__identity", roomy=True, long=True, orderable=True)
    store_url = TextColumn("Store", roomy=True, long=True, orderable=True)

    def render_outlook(self, record: Any) -> SafeString | str:  # noqa: ANN401 - a feed with its pace
        """When what waits will be loaded; of several feeds of one server, as if each were alone."""
        outlook = outlooks([record])[record.pk]
        if not (outlook.earliest and outlook.latest):
            return NONE
        first, last = local_time(outlook.earliest, "minute"), local_time(outlook.latest, "minute")
        if outlook.sharp:
            return first
        return format_html("{} to {}", first, last)


class AttemptTable(BaseTable):
    """Load attempts; the export has all columns of the old loader's table."""

    seqid = TextColumn("Sample", linkify=("loader:attempt", [A("pk")]), long=True, orderable=True)
    outcome = ChoiceColumn("Outcome", OUTCOME_COLOURS)
    insert_status_code = KeyColumn("Status", orderable=True)
    bucket_read_start_time = DateTimeColumn("Tried", orderable=True)
    message = TextColumn("Error", wide=True)
    feed = TextColumn("Feed", accessor="feed__name", wide=True, linkify=_feed_url)
    host_name = TextColumn("Host", roomy=True)
    gp_int_id = KeyColumn("Number", visible=False)
    findneighbour_server_url = TextColumn("Server", visible=False)
    file_name = TextColumn("File", visible=False)
    fn4id = TextColumn("Record id", visible=False)
    parse_status = TextColumn("Parse status", visible=False)
    len_seq = KeyColumn("Length", visible=False)
    first_128_chars = TextColumn("First 128 characters", visible=False)
    batch_start_time = DateTimeColumn("Batch started", visible=False)
    batch_sample_number = KeyColumn("Batch position", visible=False)
    batch_size = KeyColumn("Batch size", visible=False)
    bucket_read_end_time = DateTimeColumn("Read", visible=False)
    insert_start_time = DateTimeColumn("Sent", visible=False)
    insert_end_time = DateTimeColumn("Answered", visible=False)
    completed = KeyColumn("Final", visible=False)
    lock_waits = KeyColumn("Lock waits", visible=False)


class BatchLoadTable(BaseTable):
    """Batch loads; the export has all columns of the old loader's table."""

    check_time = DateTimeColumn("Scanned", orderable=True)
    feed = TextColumn("Feed", accessor="feed__name", linkify=_feed_url)
    batch_size = NumberColumn("Due")
    listed = NumberColumn("Listed", wide=True)
    found = NumberColumn("New")
    ignored = NumberColumn("Ignored", roomy=True)
    number_in_server = NumberColumn("In server")
    finished = DateTimeColumn("Finished", wide=True)
    host_name = TextColumn("Host", wide=True)
    bl_int_id = KeyColumn("Attempts", linkify=lambda record: f"{reverse('loader:attempts')}?load={record.pk}")
    findneighbour_server_url = TextColumn("Server", visible=False)


class ObjectTable(BaseTable):
    """Files in buckets."""

    name = TextColumn("File", linkify=("loader:file", [A("pk")]), long=True)
    state = ChoiceColumn("State", OBJECT_STATE_COLOURS)
    reason = TextColumn("Reason", wide=True)
    result = ChoiceColumn("Result", RESULT_COLOURS, roomy=True)
    feed = TextColumn("Feed", accessor="feed__name", linkify=_feed_url)
    created = DateTimeColumn("Created")
    done_at = DateTimeColumn("Finished", wide=True)
    tries = NumberColumn("Tries", roomy=True)
    seqid = TextColumn("Sample", visible=False)
    guid = TextColumn("Server id", visible=False)
    size = KeyColumn("Bytes", visible=False)
    md5 = TextColumn("MD5", visible=False)
    etag = TextColumn("Etag", visible=False)
    first_seen = DateTimeColumn("First seen", visible=False)
    not_before = DateTimeColumn("Not before", visible=False)
    acknowledged_at = DateTimeColumn("Acknowledged", visible=False)


class FindingTable(BaseTable):
    """Samples on which bucket, ledger and server differ."""

    guid = TextColumn("Sample", long=True)
    kind = ChoiceColumn("Difference", FINDING_COLOURS)
    note = TextColumn("Note", wide=True)
    name = TextColumn("File", long=True, wide=True)
    feed = TextColumn("Feed", accessor="feed__name", linkify=_feed_url)
    compared = DateTimeColumn("Compared", accessor="feed__reconciled_at", wide=True)


class TwinFindingTable(BaseTable):
    """Samples on which two servers differ."""

    guid = TextColumn(
        "Sample", long=True, linkify=lambda record: f"{reverse('sample')}?{urlencode({'id': record.guid})}"
    )
    kind = ChoiceColumn("Difference", TWIN_COLOURS)
    note = TextColumn("Note", wide=True)
    first = TextColumn("First server", accessor="comparison__first__url", long=True, roomy=True)
    second = TextColumn("Second server", accessor="comparison__second__url", long=True, roomy=True)
    compared = DateTimeColumn("Compared", accessor="comparison__at", form="minute", wide=True)
