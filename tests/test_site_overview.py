"""The overview: what is wrong, what runs and where things stand, with few queries, whatever the tables hold."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.choices import UploadOutcome, Verdict
from batches.models import Batch, BatchRecord, IngestCheck
from loader.models import BatchLoad, BucketObject, Feed, LoadAttempt, Outcome, Server, State

pytestmark = pytest.mark.django_db

MOST_QUERIES = 24
"""Session and user, eight or ten for each half, and four for the site's own jobs and alarms."""


@pytest.fixture
def page(client: Client) -> Page:
    client.force_login(User.objects.create_superuser("boss"))
    return Page(client)


class Page:
    """The overview as its reader sees it: words, without markup."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def html(self) -> str:
        return self.client.get("/").content.decode()

    def words(self) -> str:
        text = re.sub(r"<[^>]+>", " ", self.html().partition("<main")[2])
        return re.sub(r"\s+", " ", text.replace("&#x27;", "'"))

    def banner(self) -> str:
        """What stands under the question whether anything is wrong."""
        return self.words().partition("Running now")[0]


def server(name: str = "http://fn4:5025", **columns: object) -> Server:
    return Server.objects.create(identity=name, url=name, **columns)


def feed(on: Server, name: str = "tb", **columns: object) -> Feed:
    return Feed.objects.create(name=name, server=on, store_url=f"oci://{name}@ns", store_digest=name, **columns)


def objects(of: Feed, state: State, number: int) -> None:
    now = timezone.now()
    BucketObject.objects.bulk_create(
        BucketObject(
            feed=of,
            name=f"{state}{index}.fasta",
            version=f"{state}{index}",
            etag="e",
            size=1,
            created=now - timedelta(hours=3),
            first_seen=now,
            seqid=f"{state}{index}",
            state=state,
        )
        for index in range(number)
    )


def batch(bid: str, **columns: object) -> Batch:
    return Batch.objects.create(bid=bid, rectype="collectionobject", action="CREATE", **columns)


def records(of: Batch, *outcomes: UploadOutcome) -> None:
    BatchRecord.objects.bulk_create(
        BatchRecord(batch=of, row=row, key=f"k{row}", key_digest=f"d{row}", upload_outcome=outcome)
        for row, outcome in enumerate(outcomes, 1)
    )


def test_an_empty_site_says_what_to_do_next(page: Page) -> None:
    words = page.words()
    assert "Nothing needs a person" in words
    assert "python manage.py batch add BID FOLDER" in words
    assert "python manage.py fnload SERVER_URL NAMESPACE BUCKET" in words


def test_a_server_that_is_away_is_said_with_since_when_and_why(page: Page) -> None:
    since = timezone.now() - timedelta(minutes=36)
    feed(server(circuit_open_since=since, circuit_reason="connection refused"))
    words = page.banner()
    assert "1 thing wrong" in words
    assert f"Server http://fn4:5025 is away since {since:%Y-%m-%d %H:%M:%S} (36 minutes) connection refused" in words


def test_a_paused_feed_is_said_with_its_reason(page: Page) -> None:
    feed(server(), paused_at=timezone.now(), pause_reason="answered 413: client_max_body_size")
    assert "Feed tb is paused" in page.banner()
    assert "client_max_body_size" in page.banner()
    assert "paused_at__isempty=0" in page.html()


def test_files_that_can_not_be_loaded_are_counted_and_lead_to_their_reasons(page: Page) -> None:
    one = feed(server(), checked_at=timezone.now())
    objects(one, State.REJECTED, 3)
    objects(one, State.LOADED, 1234)
    objects(one, State.WAITING, 2)
    assert "1 to look at" in page.banner()
    assert "3 files of feed tb can't be loaded" in page.banner()
    link = re.search(r'href="(/admin/loader/bucketobject/[^"]+)"', page.html())
    assert link
    listed = page.client.get(link[1].replace("&amp;", "&")).content.decode()
    assert "rejected0.fasta" in listed
    assert "loaded0.fasta" not in listed
    assert re.search(r"tb in order .* 2 for 3 hours 1,234 3 ", page.words())


def test_an_open_attempt_is_only_wrong_when_nobody_loads(page: Page) -> None:
    now = timezone.now()
    alive = server("http://alive", lease_token="t", lease_host="h", lease_pid=1, lease_heartbeat=now)
    feed(alive)
    Server.objects.update(lease_expires=now + timedelta(minutes=5))
    LoadAttempt.objects.create(server=alive, outcome=Outcome.OPEN, seqid="s1")
    assert "Nothing needs a person" in page.words()
    assert "Loading into http://alive process 1 on h" in page.words()
    Server.objects.update(lease_expires=now - timedelta(minutes=5))
    words = page.banner()
    assert "The loader of http://alive stopped without a word" in words
    assert "1 load attempt on http://alive left open" in words
    assert "Loading into" not in page.words()


def test_an_upload_runs_or_was_cut_off_by_the_databases_clock(page: Page) -> None:
    now = timezone.now()
    columns = {"upload_started": now, "upload_owner": "t", "upload_host": "h", "upload_pid": 7}
    one = batch("plc", **columns, upload_heartbeat=now)
    records(one, UploadOutcome.SUCCESS, UploadOutcome.FAILURE, UploadOutcome.SENDING, UploadOutcome.PENDING)
    assert "Uploading batch plc process 7 on h" in page.words()
    assert "2 of 4 records" in page.words()
    assert "Nothing needs a person" in page.words()
    Batch.objects.update(upload_heartbeat=now - timedelta(minutes=5))
    assert "The upload of batch plc was cut off" in page.banner()
    assert "python manage.py batch upload plc" in page.banner()
    assert "plc upload cut off" in page.words()


def test_uncertain_records_are_counted_by_batch_and_archived_ones_are_left_alone(page: Page) -> None:
    records(batch("plc"), UploadOutcome.UNCERTAIN, UploadOutcome.UNCERTAIN, UploadOutcome.SUCCESS)
    records(batch("old", archived_at=timezone.now()), UploadOutcome.UNCERTAIN)
    assert "2 records of batch plc uncertain" in page.banner()
    assert "1 to look at" in page.banner()
    assert "old" not in page.words().partition("Batches")[2].partition("Feeds")[0]


def test_a_batch_shows_what_its_last_check_found(page: Page) -> None:
    one, now = batch("plc", status="uploaded", record_count=30000, upload_oks=29980), timezone.now()
    for minutes, left in ((9, 20000), (5, 11842)):
        then = now - timedelta(minutes=minutes)
        IngestCheck.objects.create(
            batch=one,
            started_at=then,
            finished_at=then,
            store="s3://b",
            sleep_seconds=1,
            checks=1,
            rechecks=1,
            verdict=Verdict.IN_PROGRESS,
            remaining=left,
            asked_by="w",
            host="h",
        )
    assert f"plc uploaded collectionobject create 30,000 29,980 11,842 {then:%Y-%m-%d %H:%M:%S}" in page.words()
    done = {"ingest_errs": 0, "ingest_duration": timedelta(hours=26, minutes=1)}
    Batch.objects.update(status="ingested", ingest_done_at=now, **done)
    assert "26:01:00" in page.words()


def test_the_last_ten_loads_and_attempts_lead_to_the_admin(page: Page) -> None:
    one = feed(server())
    for number in range(12):
        BatchLoad.objects.create(feed=one, check_time=timezone.now(), batch_size=number)
        LoadAttempt.objects.create(
            feed=one, seqid=f"s{number}x", outcome=Outcome.REJECTED, message=f"reason <{number}>"
        )
    html = page.html()
    assert "s1x" not in html
    assert "reason &lt;11&gt;" in html
    for kind in ("loadattempt", "batchload"):
        links = re.findall(rf'"(/admin/loader/{kind}/\d+/change/)"', html)
        assert len(links) == 10
        assert page.client.get(links[0]).status_code == 200


def test_rows_of_an_older_loader_are_shown_as_what_they_are(page: Page) -> None:
    LoadAttempt.objects.create(seqid="old", insert_status_code=201, completed=0, parse_status="Success")
    LoadAttempt.objects.create(seqid="bad", completed=1, parse_status="Failed, empty")
    BatchLoad.objects.create(findneighbour_server_url="http://old:5020")
    assert "old by an older loader" in page.words()
    assert "Failed, empty" in page.words()
    assert "http://old:5020" in page.words()


def test_times_are_in_the_zone_that_the_page_names(page: Page) -> None:
    feed(server(), checked_at=datetime.fromisoformat("2026-07-01T12:00:00+00:00"))
    with timezone.override("Europe/London"):
        words, html = page.words(), page.html()
    assert "All times are Europe/London." in words
    assert "2026-07-01 13:00:00" in words
    assert 'datetime="2026-07-01T12:00:00+00:00"' in html


def test_it_asks_the_database_few_questions_however_much_there_is(page: Page) -> None:
    now = timezone.now()
    for number in range(12):
        on = server(f"http://s{number}", circuit_open_since=now)
        one = feed(on, f"f{number}", paused_at=now)
        objects(one, State.REJECTED, 2)
        BatchLoad.objects.create(feed=one)
        LoadAttempt.objects.create(feed=one, server=on, outcome=Outcome.OPEN)
        upload = {"upload_started": now, "upload_owner": "t", "upload_heartbeat": now}
        records(batch(f"b{number}", **upload), UploadOutcome.UNCERTAIN)
    page.html()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page.html()
    assert len(queries) <= MOST_QUERIES, "\n".join(query["sql"] for query in queries)


def test_no_page_has_script_or_style_of_its_own_or_asks_another_host(page: Page) -> None:
    feed(server())
    batch("plc")
    html = page.html() + page.client.get("/nowhere").content.decode() + Client().get("/login/").content.decode()
    assert not re.search(r"<script(?! src=\"/)|<style|\sstyle=|\son[a-z]+=|javascript:", html)
    assert not re.search(r'(src|href|action)="(https?:)?//', html)
