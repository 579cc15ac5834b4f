"""When what waits will be done, and what the bottleneck is: from attempts with known times."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from loader.bottleneck import recent_flow
from loader.choices import AttemptOutcome, ObjectState
from loader.models import Feed, LoadAttempt, ServerReading
from loader.outlook import Outlook, feeds_with_pace, outlooks
from loader.views.way_charts import memory_chart, way_charts
from tests.support.feeding import Feeding
from tests.support.feeds import MakeFeed, add_object

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def add_attempts(
    feed: Feed,
    number: int,
    every: float,
    *,
    last: datetime,
    download: float = 0.05,
    insert: float = 0.02,
    **columns: Any,  # noqa: ANN401
) -> None:
    """Attempts that end at `last`, one each `every` seconds; each file was there just before its insert, or as long before as
    the insert before it took."""
    made = []
    for place in range(number):
        end = last - timedelta(seconds=every * (number - 1 - place))
        start = end - timedelta(seconds=insert)
        ready = start - timedelta(seconds=0.001)
        made.append(
            LoadAttempt(
                feed=feed,
                server=feed.server,
                seqid=f"s{place}",
                outcome=AttemptOutcome.INSERTED,
                insert_status_code=200,
                bucket_read_start_time=ready - timedelta(seconds=download),
                bucket_read_end_time=ready,
                insert_start_time=start,
                insert_end_time=end,
                **columns,
            )
        )
    LoadAttempt.objects.bulk_create(made)


def add_waiting(feed: Feed, number: int) -> None:
    for place in range(number):
        add_object(feed, f"w{place}")


def outlook_of(feed: Feed, now: datetime) -> Outlook:
    return outlooks(feeds_with_pace().filter(server=feed.server), now)[feed.pk]


def test_a_steady_pace_gives_a_narrow_range(make_feed: MakeFeed) -> None:
    feed, now = make_feed(), timezone.now()
    add_attempts(feed, 200, 2.0, last=now)
    add_waiting(feed, 60)
    outlook = outlook_of(feed, now)
    assert outlook.rate == pytest.approx(0.5)
    assert outlook.earliest == outlook.latest == now + timedelta(seconds=120)
    assert outlook.pace == "30 samples per minute"
    assert outlook.text.startswith("60 samples wait: 30 samples per minute, done at about ")


def test_a_pace_that_changes_gives_a_range(make_feed: MakeFeed) -> None:
    feed, now = make_feed(), timezone.now()
    add_attempts(feed, 101, 1.0, last=now)
    add_attempts(feed, 400, 5.0, last=now - timedelta(seconds=105))
    add_waiting(feed, 100)
    outlook = outlook_of(feed, now)
    assert outlook.earliest == now + timedelta(seconds=100)
    assert outlook.latest
    assert timedelta(seconds=300) < outlook.latest - now < timedelta(seconds=500)


def test_few_attempts_are_enough_and_none_of_late_are_not(make_feed: MakeFeed) -> None:
    feed, now = make_feed(), timezone.now()
    add_waiting(feed, 10)
    assert outlook_of(feed, now).why_none == "nothing was loaded in the last 10 minutes"
    add_attempts(feed, 7, 60, last=now - timedelta(minutes=20))
    assert outlook_of(feed, now).earliest is None
    add_attempts(feed, 1, 1, last=now)
    assert outlook_of(feed, now).earliest


@pytest.mark.parametrize(
    ("change", "why"), [("paused_at", "the feed is paused"), ("circuit_open_since", "the server is unavailable")]
)
def test_a_feed_that_is_stopped_has_no_forecast(make_feed: MakeFeed, change: str, why: str) -> None:
    feed, now = make_feed(), timezone.now()
    row = feed if change == "paused_at" else feed.server
    setattr(row, change, now)
    row.save()
    add_attempts(feed, 200, 2.0, last=now)
    add_waiting(feed, 1)
    assert outlook_of(feed, now).text == f"1 sample waits. No forecast: {why}."


def test_feeds_of_one_server_share_its_pace(make_feed: MakeFeed) -> None:
    one, two, now = make_feed("one"), make_feed("two"), timezone.now()
    for feed in (one, two):
        add_attempts(feed, 101, 1.0, last=now)
    add_waiting(one, 10)
    add_waiting(two, 90)
    outlook = outlook_of(one, now)
    assert (outlook.shared, outlook.earliest) == (1, now + timedelta(seconds=10))
    assert outlook.latest == now + timedelta(seconds=100)
    assert "1 other feed of its server has turns, too" in outlook.text


def test_nothing_waits(make_feed: MakeFeed) -> None:
    assert outlook_of(make_feed(), timezone.now()).text == "Nothing waits."


@pytest.mark.parametrize(
    ("times", "waiting", "sentence"),
    [
        ({"every": 0.5, "insert": 0.49}, 5, "The server is the bottleneck: busy 98 % of the last hour"),
        ({"every": 0.5, "insert": 0.02, "download": 0.45}, 5, "The store is the bottleneck: a download takes 450 ms"),
        ({"every": 0.5, "insert": 0.02}, 0, "Nothing is held up: no sample waits. The server was busy 4 %"),
        ({"every": 0.5, "insert": 0.4, "lock_waits": 3}, 5, "The server's lock is the bottleneck: 100%"),
    ],
)
def test_the_bottleneck_is_named(make_feed: MakeFeed, times: dict[str, Any], waiting: int, sentence: str) -> None:
    feed, now = make_feed(), timezone.now()
    add_attempts(feed, 2000, last=now, **times)
    flow = recent_flow([feed], now)
    assert flow
    span = sentence.replace("last hour", "last 17 minutes")
    assert flow.sentence(waiting=waiting).startswith(span), flow.sentence(waiting=waiting)


def test_time_between_the_download_and_the_insert_is_the_loaders_own(make_feed: MakeFeed) -> None:
    feed, now = make_feed(), timezone.now()
    add_attempts(feed, 100, 1.0, last=now)
    early = timedelta(seconds=0.8)
    for attempt in LoadAttempt.objects.all():
        assert attempt.bucket_read_end_time
        assert attempt.bucket_read_start_time
        attempt.bucket_read_end_time -= early
        attempt.bucket_read_start_time -= early
        attempt.save()
    flow = recent_flow([feed], now)
    assert flow
    assert flow.sentence(waiting=1).startswith("The loader is the bottleneck: 801 ms")


def test_a_pause_in_which_nothing_was_due_is_no_time_of_the_server(make_feed: MakeFeed) -> None:
    feed, now = make_feed(), timezone.now()
    add_attempts(feed, 100, 0.5, last=now, insert=0.49)
    add_attempts(feed, 100, 0.5, last=now - timedelta(minutes=30), insert=0.49)
    flow = recent_flow([feed], now)
    assert flow
    assert "busy 98 % of the last 31 minutes, without pauses in which nothing was due" in flow.sentence(waiting=1)


def test_feeds_with_more_attempts_than_are_read_are_cut_to_the_same_span(make_feed: MakeFeed) -> None:
    one, two, now = make_feed("one"), make_feed("two"), timezone.now()
    add_attempts(one, 1500, 1.0, last=now)
    add_attempts(two, 10, 300.0, last=now)
    flow = recent_flow([one, two], now)
    assert flow
    assert timedelta(seconds=990) < now - flow.since < timedelta(seconds=1010)


def test_nothing_was_inserted_in_the_last_hour(make_feed: MakeFeed) -> None:
    feed, now = make_feed(), timezone.now()
    add_attempts(feed, 10, 1.0, last=now - timedelta(hours=2))
    assert recent_flow([feed], now) is None


def test_the_charts_have_the_medians_of_each_slot(make_feed: MakeFeed) -> None:
    feed, now = make_feed(), timezone.now()
    add_attempts(feed, 60, 0.5, last=now - timedelta(hours=3), download=0.1, insert=0.2)
    add_attempts(feed, 60, 0.5, last=now - timedelta(hours=5), download=0.3, insert=0.4, lock_waits=1)
    parts, inserts, locks = way_charts(feed, now, DAY, 3600)
    values = {series.label: {value for value in series.values if value} for series in parts.series}
    assert {100.0, 300.0} == {round(value) for value in values["download"]}
    assert {200.0, 400.0} == {round(value or 0) for value in inserts.series[0].values if value}
    assert set(locks.series[0].values) == {0, 100.0}
    assert parts.rendered[0].total is None


def test_the_servers_memory_is_shown_if_it_told(make_feed: MakeFeed) -> None:
    feed, now = make_feed(), timezone.now()
    assert memory_chart(feed, now, DAY, 3600) is None
    ServerReading.objects.create(server=feed.server, at=now, memory_used=3_000_000_000, memory_total=16_000_000_000)
    chart = memory_chart(feed, now, DAY, 3600)
    assert chart
    assert [series.values[-1] for series in chart.series] == [3.0, 16.0]


def test_pages_say_when_it_will_be_done_and_what_the_bottleneck_is(make_feed: MakeFeed, client: Client) -> None:
    one, two, now = make_feed("one"), make_feed("two"), timezone.now()
    add_attempts(one, 200, 0.5, last=now, insert=0.49)
    add_waiting(one, 60)
    client.force_login(User.objects.create_superuser("boss"))
    page = client.get("/feeds/one/").content.decode()
    for text in (
        "When will it be done?",
        "60 wait,",
        "2 samples per second",
        "The server is the bottleneck: busy",
        "is shared",
    ):
        assert text in page, text
    assert "A sample&#x27;s way in milliseconds" in page
    assert client.get(f"/feeds/{two}/").status_code == 200
    row = client.get("/feeds/").content.decode().partition('href="/feeds/one/"')[2].partition("</tr>")[0]
    assert row.count("<time") == 2, "the oldest that waits, and when all is done"
    assert "Done" not in b"".join(client.get("/feeds/?export=csv")).decode().splitlines()[0]


def test_feed_show_says_it_too(feeding: Feeding) -> None:
    feeding.put_samples(*(f"s{number}" for number in range(30)))
    assert feeding.load().returncode == 0
    ((name,),) = feeding.manage.rows("SELECT name FROM loader_feed")
    details = json.loads(feeding.manage("feed", "show", name, "--json").stdout)
    assert details["outlook"] == "Nothing waits."
    assert "bottleneck" in details["bottleneck"] or "held up" in details["bottleneck"]
    feeding.manage.rows(f"UPDATE loader_bucketobject SET state = '{ObjectState.WAITING}' WHERE name = 's3.fasta'")
    lines = feeding.manage("feed", "show", name).stdout
    assert "1 sample waits: " in lines
    assert "done at about" in lines or "done between" in lines
