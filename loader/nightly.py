"""What the night's job keeps of a comparison of bucket, ledger and server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from django.db import transaction
from django.db.models.functions import Now

from loader.feeds import client_for
from loader.findings import LONGEST, MOST, Finding, Kind
from loader.ledger import PAGE
from loader.models import TEXT_LENGTH, Feed
from loader.reconcile import Difference, comparison
from loader.server import ServerAway, ServerMisconfigured
from objectstores import open_store
from objectstores.base import StoreError

LOST = (Kind.LOST, Kind.LOST_AND_GONE)


def reconcile(feed: Feed, stop: Callable[[], bool], db: str = "default") -> str:
    """Compares a feed and keeps when, all numbers in words, and which samples differ (MOST at most). Repairs nothing.

    A comparison that could not be finished keeps nothing, and says why.
    """
    kept: list[Difference] = []
    try:
        with (
            closing(open_store(feed.store_url)) as store,
            closing(client_for(feed)) as fn4,
            comparison(feed, store, fn4, db) as compared,
        ):
            for difference in compared.differences():
                if stop():
                    return f"{feed.name}: told to stop before its end"
                if len(kept) < MOST:
                    kept.append(difference)
    except (StoreError, ServerAway, ServerMisconfigured) as error:
        return f"{feed.name}: could not be compared: {error}"
    found = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in sorted(compared.counts.items()))
    said = f"{compared.held:,} in the server, {compared.listed:,} in the bucket; {found or 'no difference'}"
    with transaction.atomic(using=db):
        _keep(feed, kept, db)
        Feed.objects.using(db).filter(pk=feed.pk).update(
            reconciled_at=Now(),
            reconcile_lost=sum(compared.counts[kind] for kind in LOST),
            reconcile_said=said[:TEXT_LENGTH],
        )
    return f"{feed.name}: {said}"


def _keep(feed: Feed, found: list[Difference], db: str) -> None:
    """Puts these findings in the place of those that the feed had."""
    Finding.objects.using(db).filter(feed=feed).delete()
    rows = [
        Finding(feed=feed, kind=one.kind, guid=one.guid[:255], name=one.name, note=one.note[:LONGEST]) for one in found
    ]
    Finding.objects.using(db).bulk_create(rows, batch_size=PAGE)
