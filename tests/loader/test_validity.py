"""Samples with too many N: on the pages, in the search, in the list of files, in `fnstatus` and in `/metrics`."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from loader import validity
from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.concerns import loader_concerns
from loader.models import BucketObject, Feed, LoadAttempt, Server
from loader.sample_lookup import look_up
from loader.validity import id_prefix, newest_files
from tests.support.feeds import MakeFeed, add_attempt, add_object

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def operator(transactional_db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def load(feed: Feed, ids: list[str], age: timedelta, invalid: int = 0) -> None:
    """Samples that were loaded so long ago, the first of them with too many N."""
    at = timezone.now() - age
    for number, guid in enumerate(ids):
        result = LoadResult.INVALID if number < invalid else LoadResult.INSERTED
        item = add_object(feed, guid, ObjectState.LOADED, guid=guid, result=result, done_at=at, created=at)
        add_attempt(item, AttemptOutcome.INSERTED, bucket_read_start_time=at)


def ids(run: str, number: int) -> list[str]:
    return [f"{run}-{place:03}" for place in range(number)]


def concern() -> str:
    return next((one.why for one in loader_concerns().concerns if one.kind == "many_useless"), "")


def text(response: object) -> str:
    html = response.content.decode().partition("<main")[2]  # type: ignore[attr-defined]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.mark.parametrize(
    ("id_", "prefix"),
    [
        ("run1-7", "run1-"),
        ("site_a.x_9", "site_a.x_"),
        ("a.b", "a."),
        ("-x", "-x"),
        ("abcdefghi", "abcdef"),
        ("ab", "ab"),
    ],
)
def test_the_beginning_of_an_id_is_what_it_shares_with_others(id_: str, prefix: str) -> None:
    assert id_prefix(id_) == prefix


def test_groups_are_sorted_by_share_and_those_of_a_few_samples_have_none(make_feed: MakeFeed) -> None:
    feed = make_feed()
    load(feed, ids("bad", 10), HOUR, invalid=8)
    load(feed, ids("half", 10), HOUR, invalid=5)
    load(feed, ids("good", 10), HOUR)
    load(feed, ids("few", 4), HOUR, invalid=4)
    add_object(feed, "bad-waiting")
    load(make_feed("other"), ids("bad", 10), HOUR, invalid=10)
    newest = newest_files(feed)
    assert (newest.invalid, newest.loaded) == (17, 34)
    assert [(group.prefix, group.percent) for group in newest.groups] == [("bad-", 80), ("half-", 50)]


def test_only_the_newest_files_and_the_ten_largest_shares_are_read(
    make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = make_feed()
    load(feed, ids("old", 20), 9 * DAY, invalid=20)
    for run in range(12):
        load(feed, ids(f"run{run}", 5), HOUR, invalid=1)
    monkeypatch.setattr(validity, "MAX_FILES", 60)
    newest = newest_files(feed)
    assert (newest.loaded, len(newest.groups)) == (60, 10)
    assert "old-" not in {group.prefix for group in newest.groups}


@pytest.mark.parametrize(
    ("today", "invalid", "before", "invalid_before", "expected"),
    [
        (20, 3, 40, 2, True),
        (20, 3, 0, 0, True),
        (20, 2, 40, 0, False),  # 10 %, not more
        (19, 10, 40, 0, False),  # too few samples
        (20, 6, 40, 6, False),  # twice the share before, not more
        (20, 7, 40, 6, True),
    ],
)
def test_fnstatus_warns_when_the_share_of_the_last_day_jumps(
    make_feed: MakeFeed, today: int, invalid: int, before: int, invalid_before: int, expected: bool
) -> None:
    feed = make_feed(checked_at=timezone.now())
    load(feed, ids("today", today), HOUR, invalid)
    load(feed, ids("before", before), 9 * DAY, invalid_before)
    load(feed, ids("long-ago", 30), 90 * DAY, 30)
    assert bool(concern()) is expected
    if expected:
        assert f"{invalid} of {today} samples" in concern()


def test_a_day_without_samples_of_no_use_costs_no_more_queries(make_feed: MakeFeed) -> None:
    feed = make_feed(checked_at=timezone.now())
    with CaptureQueriesContext(connection) as without:
        loader_concerns()
    load(feed, ids("today", 30), HOUR, invalid=2)
    with CaptureQueriesContext(connection) as few:
        loader_concerns()
    assert len(few) == len(without)


def test_the_feeds_page_shows_number_share_and_runs(make_feed: MakeFeed, operator: Client) -> None:
    feed = make_feed()
    assert "Too many N" not in text(operator.get("/feeds/tb/"))
    load(feed, ids("run1", 10), HOUR, invalid=4)
    Server.objects.update(invalid_in_server=4321)
    with CaptureQueriesContext(connection) as queries:
        page = operator.get("/feeds/tb/")
    words = text(page)
    assert "4 of the newest 10 loaded samples (40.0 %)" in words
    assert "Server, with all its feeds: 4,321" in words
    assert "run1-… 40.0 % 4 10" in words
    assert f"/files/?feed={feed.pk}&amp;result=invalid&amp;q=run1-" in page.content.decode()
    assert "40 % of the samples loaded" in page.content.decode()
    assert len(queries) <= 15


def test_the_sample_and_the_list_of_files_say_it(make_feed: MakeFeed, operator: Client) -> None:
    feed = make_feed(url="http://fn4")
    load(feed, ids("run1", 3), HOUR, invalid=1)
    report = look_up("run1-000")
    assert (
        report.sentence.replace("\xa0", " ")
        == "run1-000 is loaded: in http://fn4, 1 hour ago, but has too many N to be compared."
    )
    assert report.colour == "orange"
    words = text(operator.get("/files/?result=invalid"))
    assert ("run1-000" in words, "run1-001" in words) == (True, False)
    csv = b"".join(operator.get("/files/?result=invalid&export=csv").streaming_content).decode()  # type: ignore[attr-defined]
    assert (csv.count("\n"), ",invalid," in csv) == (2, True)


def test_metrics_have_the_number_of_each_server(make_feed: MakeFeed, client: Client) -> None:
    make_feed()
    assert b"fnloader_server_invalid_samples{" not in client.get("/metrics").content
    Server.objects.update(invalid_in_server=7)
    assert (
        b'fnloader_server_invalid_samples{server="http://127.0.0.1:1 on test-host"} 7.0'
        in client.get("/metrics").content
    )


def test_its_questions_use_the_index(make_feed: MakeFeed) -> None:
    feed = make_feed()
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off" if connection.vendor == "postgresql" else "SELECT 1")
    rows = validity.invalid_rows(feed).filter(done_at__gte=timezone.now() - DAY)
    assert "loader_object_invalid" in rows.explain()
    newest = BucketObject.objects.filter(feed=feed, state=ObjectState.LOADED).order_by("-created", "-pk")[:10]
    assert "loader_object_next" in newest.explain()
    older = LoadAttempt.objects.filter(feed=feed, bucket_read_start_time__lt=timezone.now())
    assert "ix_fn4loadattempt_feed_read" in older.order_by("-bucket_read_start_time")[:10].explain()
