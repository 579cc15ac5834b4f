"""Tables of the loader's list pages."""

from __future__ import annotations

from fnloader_site.columns import Key, Number, Table, Tag, Text, Time
from loader.choices import OUTCOME_COLOURS, STANDS_COLOURS


class FeedTable(Table):
    """Feeds: where each stands, and what waits."""

    name = Text("Feed", orderable=True)
    stands = Tag("State", STANDS_COLOURS, orderable=True)
    waiting = Number("Waiting", orderable=True)
    oldest = Time("Oldest waiting", orderable=True)
    rate = Number("Last hour", orderable=True)
    rejected = Number("Rejected", orderable=True)
    number_in_server = Number("In the server", accessor="server__number_in_server", wide=True, orderable=True)
    checked_at = Time("Last look", orderable=True, wide=True)
    server = Text("Server", accessor="server__identity", roomy=True, long=True, orderable=True)
    store_url = Text("Bucket", roomy=True, long=True, orderable=True)


class AttemptTable(Table):
    """Load attempts; all columns of the old loader's table are exported."""

    seqid = Text("Sample", long=True, orderable=True)
    outcome = Tag("Outcome", OUTCOME_COLOURS)
    insert_status_code = Key("Answer", orderable=True)
    bucket_read_start_time = Time("Tried", orderable=True)
    message = Text("What was the matter", wide=True)
    feed = Text("Feed", accessor="feed__name", wide=True)
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
