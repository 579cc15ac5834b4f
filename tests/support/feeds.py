"""Rows and a folder store for tests of the loader's cores, where no process matters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from core.digests import digest
from loader.choices import AttemptOutcome, ObjectState
from loader.models import BucketObject, Feed, LoadAttempt, Server

MakeFeed = Callable[..., Feed]


@pytest.fixture
def make_feed(transactional_db: None, tmp_path: Path) -> MakeFeed:
    """Makes feeds; the store is a folder named like the feed, the server one that is not there."""

    def make(name: str = "tb", url: str = "http://127.0.0.1:1", **columns: object) -> Feed:
        (tmp_path / name).mkdir(exist_ok=True)
        store = (tmp_path / name).as_uri()
        server, _ = Server.objects.get_or_create(identity=f"{url} on test-host", url=url)
        return Feed.objects.create(name=name, server=server, store_url=store, store_digest=digest(store), **columns)

    return make


def add_object(feed: Feed, seqid: str, state: ObjectState = ObjectState.WAITING, **columns: object) -> BucketObject:
    """A row of the ledger."""
    at = timezone.now() - timedelta(minutes=5)
    given = {"created": at, "first_seen": at, "seqid": seqid, "size": 1, "etag": "e"} | columns
    name = str(given.pop("name", f"{seqid}.fasta"))
    return BucketObject.objects.create(feed=feed, name=name, version=digest(name, "e"), state=state, **given)


def add_attempt(item: BucketObject, outcome: AttemptOutcome, **columns: object) -> LoadAttempt:
    """An attempt to load it."""
    given = {"completed": int(outcome != AttemptOutcome.FAILED), "seqid": item.seqid} | columns
    return LoadAttempt.objects.create(
        feed=item.feed, server=item.feed.server, bucket_object=item, outcome=outcome, **given
    )
