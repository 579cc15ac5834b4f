"""The overview: what needs attention, what is running and the state of all, with few queries, whatever the tables hold."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from batches.choices import BatchStatus, UploadOutcome, Verdict
from batches.models import Batch, BatchRecord, IngestCheck
from core.models import JobRun
from fnloader_site.monitoring.concerns import all_concerns
from fnloader_site.overview import last_day
from loader.choices import AttemptOutcome, ObjectState
from loader.models import BatchLoad, BucketObject, Feed, LoadAttempt, Server

pytestmark = pytest.mark.django_db

MOST_QUERIES = 30
"""Session and user, ten or twelve for each section, and four for the site's own jobs and alarms."""


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
        """The text above "Running now"."""
        return self.words().partition("Running now")[0]


def server(name: str = "http://fn4:5025", **columns: object) -> Server:
    return Server.objects.create(identity=name, url=name, **columns)


def feed(on: Server, name: str = "tb", **columns: object) -> Feed:
    return Feed.objects.create(name=name, server=on, store_url=f"oci://{name}@ns", store_digest=name, **columns)


def objects(of: Feed, state: ObjectState, number: int) -> None:
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


def test_an_empty_site_suggests_the_next_step(page: Page) -> None:
    words = page.words()
    assert "All clear" in words
    assert "python manage.py batch add BID FOLDER" in words
    assert "python manage.py fnload SERVER_URL NAMESPACE BUCKET" in words


def test_a_server_that_is_away_is_said_with_since_when_and_why(page: Page) -> None:
    since = timezone.now() - timedelta(minutes=36)
    feed(server(circuit_open_since=since, circuit_reason="connection refused"))
    words = page.banner()
    assert "1 error" in words
    assert (
        f"Server http://fn4:5025 is unavailable since {since:%Y-%m-%d %H:%M:%S} (36 minutes) connection refused"
        in words
    )


def test_a_paused_feed_is_said_with_its_reason(page: Page) -> None:
    feed(server(), paused_at=timezone.now(), pause_reason="answered 413: client_max_body_size")
    assert "Feed tb is paused" in page.banner()
    assert "client_max_body_size" in page.banner()
    assert 'href="/feeds/tb/">Open feed tb</a>' in page.html()


def test_files_that_can_not_be_loaded_are_counted_and_lead_to_their_reasons(page: Page) -> None:
    one = feed(server(), checked_at=timezone.now())
    objects(one, ObjectState.REJECTED, 3)
    objects(one, ObjectState.LOADED, 1234)
    objects(one, ObjectState.WAITING, 2)
    assert "1 warning" in page.banner()
    assert "3 files of feed tb rejected" in page.banner()
    assert page.client.get("/feeds/tb/").status_code == 200
    assert re.search(r"tb OK .* 2 for 3 hours 0 3 ", page.words())


def test_an_open_attempt_is_only_wrong_when_nobody_loads(page: Page) -> None:
    now = timezone.now()
    alive = server("http://alive", lease_token="t", lease_host="h", lease_pid=1, lease_heartbeat=now)
    feed(alive)
    Server.objects.update(lease_expires=now + timedelta(minutes=5))
    LoadAttempt.objects.create(server=alive, outcome=AttemptOutcome.OPEN, seqid="s1")
    assert "All clear" in page.words()
    assert "Loading into http://alive process 1 on h" in page.words()
    Server.objects.update(lease_expires=now - timedelta(minutes=5))
    words = page.banner()
    assert "Loader for http://alive stopped unexpectedly" in words
    assert "1 open load attempt on http://alive" in words
    assert "Loading into" not in page.words()


def test_an_upload_runs_or_was_cut_off_by_the_databases_clock(page: Page) -> None:
    now = timezone.now()
    columns = {"upload_started": now, "upload_owner": "t", "upload_host": "h", "upload_pid": 7}
    one = batch("plc", **columns, upload_heartbeat=now)
    records(one, UploadOutcome.SUCCESS, UploadOutcome.FAILURE, UploadOutcome.SENDING, UploadOutcome.PENDING)
    assert "Uploading batch plc process 7 on h" in page.words()
    assert "2 of 4 records" in page.words()
    assert "All clear" in page.words()
    Batch.objects.update(upload_heartbeat=now - timedelta(minutes=5))
    assert "Upload of batch plc was cut off" in page.banner()
    assert "python manage.py batch upload plc" in page.banner()
    assert "plc upload cut off" in page.words()


def test_uncertain_records_are_counted_by_batch_and_archived_ones_are_left_alone(page: Page) -> None:
    records(batch("plc"), UploadOutcome.UNCERTAIN, UploadOutcome.UNCERTAIN, UploadOutcome.SUCCESS)
    records(batch("old", archived_at=timezone.now()), UploadOutcome.UNCERTAIN)
    assert "2 records of batch plc uncertain" in page.banner()
    assert "1 warning" in page.banner()
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
    assert f"plc in ingest collectionobject create 30,000 29,980 11,842 0 {then:%Y-%m-%d %H:%M:%S}" in page.words()
    done = {"ingest_errs": 0, "ingest_duration": timedelta(hours=26, minutes=1)}
    Batch.objects.update(status="ingested", ingest_done_at=now, **done)
    assert "26:01:00" in page.words()


def test_the_last_ten_attempts_lead_to_their_pages(page: Page) -> None:
    one = feed(server())
    for number in range(12):
        LoadAttempt.objects.create(
            feed=one, seqid=f"s{number}x", outcome=AttemptOutcome.REJECTED, message=f"reason <{number}>"
        )
    html = page.html()
    assert "s1x" not in html
    assert "reason &lt;11&gt;" in html
    links = re.findall(r'"(/attempts/\d+/)"', html)
    assert len(links) == 10
    assert page.client.get(links[0]).status_code == 200


def test_rows_of_an_older_loader_are_shown_as_what_they_are(page: Page) -> None:
    LoadAttempt.objects.create(seqid="old", insert_status_code=201, completed=0, parse_status="Success")
    LoadAttempt.objects.create(seqid="bad", completed=1, parse_status="Failed, empty")
    assert "old Older loader" in page.words()
    assert "Failed, empty" in page.words()


def test_times_are_in_the_zone_that_the_page_names(page: Page) -> None:
    feed(server(), checked_at=datetime.fromisoformat("2026-07-01T12:00:00+00:00"))
    with timezone.override("Europe/London"):
        words, html = page.words(), page.html()
    assert "All times are Europe/London." in words
    assert "2026-07-01 13:00:00" in words
    assert 'datetime="2026-07-01T12:00:00+00:00"' in html


def test_it_takes_few_queries_however_much_there_is(page: Page) -> None:
    now = timezone.now()
    for number in range(12):
        on = server(f"http://s{number}", circuit_open_since=now)
        one = feed(on, f"f{number}", paused_at=now)
        objects(one, ObjectState.REJECTED, 2)
        BatchLoad.objects.create(feed=one)
        LoadAttempt.objects.create(feed=one, server=on, outcome=AttemptOutcome.OPEN)
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


def attempt(of: Feed, when: datetime, **columns: object) -> None:
    """One that was inserted within 40 ms."""
    inserted = {
        "insert_status_code": 200,
        "insert_start_time": when,
        "insert_end_time": when + timedelta(milliseconds=40),
    }
    made = {"seqid": "s", "outcome": AttemptOutcome.INSERTED, "bucket_read_start_time": when} | inserted | columns
    LoadAttempt.objects.create(feed=of, **made)


def hour(back: int) -> datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=back)


def charted(title: str) -> dict[str, list[float]]:
    """The values of a chart by hour, without empty hours, the latest last."""
    (chart,) = [
        one
        for one in [*last_day.loading_charts(timezone.now()), last_day.batches_ended_chart(timezone.now())]
        if one.title == title
    ]
    return {one.label: [value for value in one.values if value] for one in chart.series}


def test_the_last_day_is_drawn_by_the_hour(page: Page) -> None:
    one = feed(server())
    attempt(one, hour(2))
    attempt(one, hour(2), insert_status_code=201, outcome=AttemptOutcome.PRESENT)
    attempt(one, hour(1))
    attempt(one, hour(30))
    nothing = {"insert_status_code": None, "insert_start_time": None, "insert_end_time": None}
    attempt(one, hour(1), outcome=AttemptOutcome.REJECTED, **nothing)
    attempt(one, hour(0), outcome=AttemptOutcome.FAILED, insert_status_code=500)
    batch("plc", status="ingested", ingest_done_at=hour(3), ingest_errs=0)
    batch("bad", status="ingested", ingest_done_at=hour(3), ingest_errs=2)
    assert charted("Samples loaded per hour") == {"loaded": [2, 1]}
    assert charted("Failures per hour") == {"will retry": [1], "rejected": [1]}
    assert charted("Insert time in milliseconds") == {"median": [40, 40], "95th percentile": [40, 40]}
    assert charted("Batches ended per hour") == {"complete": [1], "complete, with errors": [1]}
    assert "Loaded 3 in the last 24 hours" in page.words()


def test_all_but_the_latest_hours_are_counted_once_an_hour(page: Page, settings: Settings) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "hours"}}
    one, now = feed(server()), hour(0) + timedelta(minutes=30)
    for back in (5, 1, 0):
        attempt(one, hour(back))
    before = last_day.loading_charts(now)
    assert [chart.series[0].values[-6] for chart in before] == [1, 0, 40]
    for back in (5, 1, 0):
        attempt(one, hour(back), insert_end_time=hour(back) + timedelta(milliseconds=80))
    loaded, _, times = last_day.loading_charts(now)
    assert [loaded.series[0].values[place] for place in (-6, -2, -1)] == [1, 2, 2]
    assert [times.series[1].values[place] for place in (-6, -2, -1)] == [40, 80, 80]
    later, _, _ = last_day.loading_charts(now + timedelta(hours=1))
    assert [later.series[0].values[place] for place in (-7, -3, -2)] == [2, 2, 2], (
        "with the next hour all are counted again"
    )


def test_of_many_insert_times_a_spread_sample_is_read(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    one = feed(server())
    for number in range(40):
        when = hour(2 if number < 20 else 1)
        attempt(one, when, insert_end_time=when + timedelta(milliseconds=10 + number % 20))
    monkeypatch.setattr(last_day, "SAMPLE_SIZE", 20)
    assert charted("Insert time in milliseconds")["median"] == [19, 19], "every second one: 10, 12, … 28"


def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed() -> None:
    assert last_day.percentile(range(1, 101), 0.95) == 95
    assert last_day.percentile([7], 0.95) == 7
    assert last_day.percentile([3, 1, 2], 0.5) == 2


def test_an_ingest_that_runs_shows_its_progress(page: Page) -> None:
    now = timezone.now()
    began = {"upload_started": now - timedelta(hours=1), "upload_finished": now - timedelta(minutes=50)}
    one = batch("plc", status="uploaded", upload_oks=100, **began)
    check = IngestCheck.objects.create(
        batch=one, started_at=now, finished_at=now, store="s", sleep_seconds=1, checks=1, rechecks=1, remaining=40,
        asked_by="w", host="h",
    )  # fmt: skip
    for number, left in enumerate((80, 60, 40), 1):
        when = now - timedelta(minutes=30 - 10 * number)
        check.counts.create(number=number, counted_at=when, remaining=left, digest="d", foreign=0, invalid=0)
    words = page.words()
    assert re.search(r"Ingest of batch plc 40 objects remaining, counted .* at the earliest", words)
    assert "60 of 100 records" in words


def test_what_changes_is_fetched_alone_and_never_kept(page: Page) -> None:
    response = page.client.get("/?live")
    assert b"<html" not in response.content
    assert b'data-part="concerns"' in response.content
    assert response["Cache-Control"] == "no-store"


def test_each_concern_links_to_the_page_that_fixes_it() -> None:
    now = timezone.now()
    tb = feed(server(circuit_open_since=now, circuit_reason="refused"), paused_at=now)
    batch("plc", status=BatchStatus.INGESTED, ingest_errs=2, ingest_done_at=now)
    attempt = {"server": tb.server, "findneighbour_server_url": "http://fn4:5025", "completed": 0}
    LoadAttempt.objects.create(**attempt, outcome=AttemptOutcome.OPEN)
    LoadAttempt.objects.create(**attempt, insert_start_time=now, insert_status_code=500)
    links = {concern.kind: concern.link for concern in all_concerns()}
    boss = User.objects.create_superuser("boss")
    assert {kind: link and link.url_for(boss) for kind, link in links.items()} == {
        "feed_paused": "/feeds/tb/",
        "batch_errors": "/batches/plc/?ingest=failure#records",
        "server_away": "/feeds/",
        "attempts_open": "/attempts/?outcome=open",
        "wrong_statuses": "/attempts/?wrong=1&when=day&server=http%3A%2F%2Ffn4%3A5025",
    }
    assert not any(link and link.url_for(AnonymousUser()) for link in links.values())


def test_pages_of_the_admin_are_for_staff() -> None:
    JobRun.objects.create(name="loader.tasks.prune", failed_at=timezone.now(), error="it broke")
    [link] = [concern.link for concern in all_concerns()]
    clerk = User.objects.create_user("clerk")
    clerk.user_permissions.add(Permission.objects.get(codename="view_jobrun"))
    assert link
    assert link.url_for(clerk) is None
    clerk.is_staff = True
    assert link.url_for(clerk) == "/admin/fnloader_site/jobrun/"
