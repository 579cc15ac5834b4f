"""Tables of the loader's list pages."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django_tables2 import A

from fnloader_site.columns import Code, Key, Number, Table, Tag, Text, Time
from loader.choices import FINDING_COLOURS, OUTCOME_COLOURS, RESULT_COLOURS, STANDS_COLOURS, STATE_COLOURS


def _feed_url(record: Any) -> str | None:  # noqa: ANN401 - a row of any of the tables below
    return reverse("loader:feed", args=[record.feed.name]) if record.feed else None


class FeedTable(Table):
    """Feeds: where each stands, and what waits."""

    name = Text("Feed", linkify=("loader:feed", [A("name")]), orderable=True)
    stands = Tag("State", STANDS_COLOURS, orderable=True)
    waiting = Number("Waiting", orderable=True)
    oldest = Time("Oldest waiting", form="minute", orderable=True)
    rate = Number("Last hour", orderable=True)
    rejected = Number("Rejected", orderable=True)
    number_in_server = Number("In the server", accessor="server__number_in_server", wide=True, orderable=True)
    checked_at = Time("Last look", form="minute", orderable=True, wide=True)
    server = Text("Server", accessor="server__identity", roomy=True, long=True, orderable=True)
    store_url = Text("Bucket", roomy=True, long=True, orderable=True)


class AttemptTable(Table):
    """Load attempts; all columns of the old loader's table are exported."""

    seqid = Text("Sample", linkify=("loader:attempt", [A("pk")]), long=True, orderable=True)
    outcome = Tag("Outcome", OUTCOME_COLOURS)
    insert_status_code = Key("Answer", orderable=True)
    bucket_read_start_time = Time("Tried", orderable=True)
    message = Text("What was the matter", wide=True)
    feed = Text("Feed", accessor="feed__name", wide=True, linkify=_feed_url)
    host_name = Text("Host", roomy=True)
    gp_int_id = Key("Number", visible=False)
    findneighbour_server_url = Text("Server", visible=False)
    file_name = Text("File", visible=False)
    fn4id = Text("Id in the file", visible=False)
    parse_status = Text("Parse status", visible=False)
    len_seq = Key("Length", visible=False)
    first_128_chars = Text("First characters", visible=False)
    batch_start_time = Time("Batch begun", visible=False)
    batch_sample_number = Key("Place in the batch", visible=False)
    batch_size = Key("Size of the batch", visible=False)
    bucket_read_end_time = Time("Read", visible=False)
    insert_start_time = Time("Sent", visible=False)
    insert_end_time = Time("Answered", visible=False)
    completed = Key("Completed", visible=False)
    lock_waits = Key("Waits for the lock", visible=False)


class LoadTable(Table):
    """Batch loads; all columns of the old loader's table are exported."""

    check_time = Time("Analysed", orderable=True)
    feed = Text("Feed", accessor="feed__name", linkify=_feed_url)
    batch_size = Number("Due")
    listed = Number("In the bucket", wide=True)
    found = Number("New")
    ignored = Number("Ignored", roomy=True)
    number_in_server = Number("In the server")
    finished = Time("All tried", wide=True)
    host_name = Text("Host", wide=True)
    bl_int_id = Key("Attempts", linkify=lambda record: f"{reverse('loader:attempts')}?load={record.pk}")
    findneighbour_server_url = Text("Server", visible=False)


class FileTable(Table):
    """Files seen in buckets."""

    name = Text("File", linkify=("loader:file", [A("pk")]), long=True)
    state = Tag("State", STATE_COLOURS)
    reason = Text("Reason", wide=True)
    result = Tag("Came in", RESULT_COLOURS, roomy=True)
    feed = Text("Feed", accessor="feed__name", linkify=_feed_url)
    created = Time("Written to the bucket")
    done_at = Time("Done", wide=True)
    tries = Number("Tries", roomy=True)
    seqid = Text("Sample", visible=False)
    guid = Text("Id in the server", visible=False)
    size = Key("Bytes", visible=False)
    md5 = Code("MD5", visible=False)
    etag = Text("Etag", visible=False)
    first_seen = Time("First seen", visible=False)
    not_before = Time("Not before", visible=False)
    acknowledged_at = Time("Accepted", visible=False)


class FindingTable(Table):
    """Samples on which bucket, ledger and server do not agree."""

    guid = Text("Sample", long=True)
    kind = Tag("Difference", FINDING_COLOURS)
    note = Text("More", wide=True)
    name = Text("File", long=True, wide=True)
    feed = Text("Feed", accessor="feed__name", linkify=_feed_url)
    compared = Time("Compared", accessor="feed__reconciled_at", wide=True)
