"""The order of what is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from core.digests import digest
from loader.choices import ObjectState
from loader.ledger import queue
from loader.ledger.scan import PAGE_SIZE
from loader.models import BucketObject
from tests.support.feeds import MakeFeed

pytest_plugins = ["tests.support.feeds"]
pytestmark = pytest.mark.django_db
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def test_all_that_loaders_were_reading_when_they_ended_comes_last_the_latest_first(make_feed: MakeFeed) -> None:
    feed, number = make_feed("tb"), 2 * PAGE_SIZE + 5
    BucketObject.objects.bulk_create(
        BucketObject(
            feed=feed,
            name=f"s{place}.fasta",
            version=digest(f"s{place}", "e"),
            etag="e",
            size=1,
            created=BEGIN + timedelta(seconds=place),
            first_seen=BEGIN,
            seqid=f"s{place}",
            state=ObjectState.WAITING,
            read_since=None if place % 100 == 0 else BEGIN,
        )
        for place in range(number)
    )
    names = [item.name for item in queue.due(feed, "default", timezone.now())]
    others = [f"s{place}.fasta" for place in range(0, number, 100)]
    suspects = [f"s{place}.fasta" for place in reversed(range(number)) if place % 100]
    assert names == others + suspects
