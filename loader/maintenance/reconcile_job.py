"""What the night's job keeps of a comparison of bucket, ledger and server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from django.db import transaction
from django.db.models.functions import Now

from loader.choices import FindingKind
from loader.feeds.manage import client_for
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.ledger.scan import PAGE
from loader.maintenance.reconcile import Difference, reconciliation
from loader.models import Feed, Finding
from loader.models.feeds import TEXT_LENGTH
from loader.models.findings import LONGEST, MOST
from objectstores import open_store
from objectstores.base import StoreError

REPAIR_HINT = (FindingKind.LOST, FindingKind.LOST_AND_GONE)


def reconcile_and_store(feed: Feed, stop: Callable[[], bool], db: str = "default") -> str:
    """Compares a feed and keeps when, all numbers in words, and which samples differ (MOST at most). Repairs nothing.

    A comparison that could not be finished keeps nothing, and says why.
    """
    kept: list[Difference] = []
    try:
        with (
            closing(open_store(feed.store_url)) as store,
            closing(client_for(feed)) as fn4,
            reconciliation(feed, store, fn4, db) as compared,
        ):
            for difference in compared.differences():
                if stop():
                    return f"{feed.name}: told to stop before its end"
                if len(kept) < MOST:
                    kept.append(difference)
    except (StoreError, ServerUnavailable, ServerMisconfigured) as error:
        return f"{feed.name}: could not be compared: {error}"
    found = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in sorted(compared.counts.items()))
    said = f"{compared.held:,} in the server, {compared.listed:,} in the bucket; {found or 'no difference'}"
    with transaction.atomic(using=db):
        _store(feed, kept, db)
        Feed.objects.using(db).filter(pk=feed.pk).update(
            reconciled_at=Now(),
            reconcile_lost=sum(compared.counts[kind] for kind in REPAIR_HINT),
            reconcile_said=said[:TEXT_LENGTH],
        )
    return f"{feed.name}: {said}"


def _store(feed: Feed, found: list[Difference], db: str) -> None:
    """Puts these findings in the place of those that the feed had."""
    Finding.objects.using(db).filter(feed=feed).delete()
    rows = [
        Finding(feed=feed, kind=one.kind, guid=one.guid[:255], name=one.name, note=one.note[:LONGEST]) for one in found
    ]
    Finding.objects.using(db).bulk_create(rows, batch_size=PAGE)
