"""Compares a feed in a job, and stores the differences."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from django.db import transaction
from django.db.models.functions import Now

from loader.choices import FindingKind
from loader.feeds.manage import client_for
from loader.feeds.store_urls import open_feed_store
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.ledger.scan import PAGE_SIZE
from loader.maintenance.reconcile import Difference, reconciliation
from loader.models import Feed, Finding
from loader.models.findings import MAX_FINDINGS
from objectstores.base import StoreError

LOST_KINDS = (FindingKind.LOST, FindingKind.LOST_AND_GONE)


def reconcile_and_store(feed: Feed, stop: Callable[[], bool], db: str = "default") -> str:
    """Compares a feed and stores when, a summary, and the samples that differ (up to MAX_FINDINGS). Repairs nothing.

    An incomplete comparison stores nothing and returns the reason.
    """
    differences: list[Difference] = []
    try:
        with (
            closing(open_feed_store(feed.store_url)) as store,
            closing(client_for(feed)) as fn4,
            reconciliation(feed, store, fn4, db) as compared,
        ):
            for difference in compared.differences():
                if stop():
                    return f"{feed.name}: stopped before the end"
                # The list of files has those with too many N: they would hide the rest.
                if difference.kind != FindingKind.INVALID and len(differences) < MAX_FINDINGS:
                    differences.append(difference)
    except (StoreError, ServerUnavailable, ServerMisconfigured) as error:
        return f"{feed.name}: comparison failed: {error}"
    counts = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in sorted(compared.counts.items()))
    summary = f"{compared.held:,} in the server, {compared.listed:,} in the bucket; {counts or 'no differences'}"
    with transaction.atomic(using=db):
        Finding.objects.using(db).filter(feed=feed).delete()
        rows = (
            Finding(feed=feed, kind=row.kind, guid=row.guid[:255], name=row.name, note=row.note) for row in differences
        )
        Finding.objects.using(db).bulk_create(rows, batch_size=PAGE_SIZE)
        Feed.objects.using(db).filter(pk=feed.pk).update(
            reconciled_at=Now(),
            reconcile_lost=sum(compared.counts[kind] for kind in LOST_KINDS),
            reconcile_said=summary,
        )
    return f"{feed.name}: {summary}"
