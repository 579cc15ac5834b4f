"""How fast batches were ingested: rates over time, by kind, and the slowest ones; what the pages of courses show."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from batches.models import Batch, IngestCourse
from batches.reports.rates import rate_groups, rate_rows, rates_over_time, slowest, with_rates

pytestmark = pytest.mark.django_db


def ended(
    bid: str, records: int, minutes: float, *, days: float = 0, rectype: str = "media", first: float | None = None
) -> Batch:
    """A batch whose ingest took so many minutes and ended so many days ago."""
    end = timezone.now() - timedelta(days=days)
    start = end - timedelta(minutes=minutes)
    batch = Batch.objects.create(
        bid=bid,
        rectype=rectype,
        action="CREATE",
        status="ingested",
        upload_started=start,
        ingest_start_time=start,
        ingest_complete_time=end,
        ingest_done_at=end,
        ingest_duration=timedelta(minutes=minutes),
        ingest_oks=records,
        ingest_errs=0,
        record_count=records,
    )
    if first is not None:
        IngestCourse.objects.create(
            batch=batch,
            began_at=start,
            last_count=1,
            counted_at=end,
            remaining=0,
            digest="",
            same_since=end,
            changed_after=start,
            progress_at=start + timedelta(seconds=first),
            pauses=2,
            longest_pause=95,
            tries=records * 3,
            tried=records,
        )
    return batch


@pytest.fixture
def viewer() -> Client:
    user = User.objects.create_user("v")
    user.user_permissions.add(Permission.objects.get(codename="view_batch"))
    client = Client()
    client.force_login(user)
    return client


def test_batches_are_compared_with_their_kind() -> None:
    for number, minutes in enumerate((10, 10, 12, 40)):
        ended(f"m{number}", 100, minutes, days=number, first=30)
    ended("big", 200_000, 60)
    ended("place", 100, 400, rectype="place")
    ended("same", 0, 10)
    rows = rate_rows(with_rates(Batch.objects.all()), 100)
    assert len(rows) == 6
    assert rows[0].bid == "m3"
    assert (rows[0].rate, rows[0].first, rows[0].longest_pause) == (2.5, timedelta(seconds=30), 95)
    assert [(one.rectype, one.size, one.batches, round(one.rate, 2)) for one in rate_groups(rows)] == [
        ("media", "under 1,000", 4, 9.17),
        ("media", "100,000 or more", 1, 3333.33),
        ("place", "under 1,000", 1, 0.25),
    ]
    assert [(one.bid, one.comparison) for one in slowest(rows)] == [
        ("m3", "4.0 times as slow as the median of 4 media batches to create"),
    ]
    assert len(rate_rows(with_rates(Batch.objects.all()), 2)) == 2


def test_rates_are_drawn_in_slots_that_fit_their_span() -> None:
    for bid, days, length in (("a", 1, 1), ("b", 300, 7), ("c", 1000, 30)):
        ended(bid, 100, 10, days=days)
        slots, medians = rates_over_time(rate_rows(with_rates(Batch.objects.all()), 100), timezone.now())
        assert slots.seconds == length * 86400
        assert len(medians) == len(slots.moments) <= 120
    assert [value for value in medians if value is not None] == [10, 10, 10]
    assert rates_over_time([], timezone.now())[1] == [None]


def test_the_page_lists_names_filters_and_exports(viewer: Client) -> None:
    for number, minutes in enumerate((10, 10, 12, 40)):
        ended(f"m{number}", 100, minutes, first=30)
    ended("place", 50, 10, rectype="place")
    page = viewer.get("/ingest/rates/?sort=-rate").content.decode()
    assert "4.0 times as slow as the median of 3 media batches to create" in page
    assert page.index("/batches/m0/") < page.rindex("/batches/m3/")
    assert "/batches/place/" not in viewer.get("/ingest/rates/?rectype=media").content.decode()
    assert "/batches/place/" not in viewer.get("/ingest/rates/?records=51").content.decode()
    export = b"".join(viewer.get("/ingest/rates/?export=csv&sort=bid").streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(export)))
    assert [row["bid"] for row in rows] == ["m0", "m1", "m2", "m3", "place"]
    assert float(rows[0]["rate"]) == 10
    assert float(rows[0]["tries_per_record"]) == 3
    assert (rows[0]["first"], float(rows[0]["longest_pause"]), rows[0]["pauses"]) == ("00:00:30", 95, "2")
    assert rows[4]["first"] == ""
    assert viewer.get("/ingest/rates/?records=x").status_code == 200


def test_without_any_batch_the_pages_say_so(viewer: Client) -> None:
    assert "No rates yet" in viewer.get("/ingest/rates/").content.decode()
    page = " ".join(viewer.get("/ingest/advice/").content.decode().split())
    assert "Too few ingests for advice: 20 are needed" in page
    Batch.objects.create(bid="new", rectype="work", action="CREATE")
    assert "It was never counted." in viewer.get("/batches/new/replay/").content.decode()


def test_the_advice_is_on_a_page(viewer: Client) -> None:
    for number in range(20):
        ended(f"m{number}", 100, 10, first=30)
    page = " ".join(viewer.get("/ingest/advice/").content.decode().split())
    # The longest pause is 95 s, and none longer was possible.
    assert "python manage.py ingstat BID --sleep 30 --checks 999 --rechecks 3" in page
    assert "Right in 20 of 20" in page
    assert "INGEST_QUIET_MINUTES=2" in page
