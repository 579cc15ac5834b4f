"""Which servers are twins, and their nightly comparison, which is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from loader.choices import TwinKind
from loader.feeds.manage import client_for, get_feed
from loader.feeds.server_urls import identity, normalise
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.ledger.scan import PAGE_SIZE
from loader.maintenance.twins import ServerComparison, Twin, TwinDifference, server_comparison
from loader.models import Feed, Server, TwinComparison, TwinFinding
from loader.models.findings import MAX_FINDINGS

if TYPE_CHECKING:
    from loader.fn4.client import FindNeighbour4


def find_twin(name_or_url: str, db: str) -> Twin:
    """The server of a feed, or at a URL. Raises OperationRefused and WrongUrl."""
    if "://" not in name_or_url:
        feed = get_feed(name_or_url, db)
        return Twin(feed.server.url, client_for(feed), feed.server)
    url = normalise(name_or_url)
    server = Server.objects.using(db).filter(identity=identity(url, settings.HOST_NAME)).first()
    return twin_of(server, db) if server else Twin(url, _client(url), None)


def twin_of(server: Server, db: str) -> Twin:
    """A server that we know, with the password of its first feed."""
    feed = Feed.objects.using(db).select_related("server").filter(server=server).order_by("name").first()
    return Twin(server.url, client_for(feed) if feed else _client(server.url), server)


def twin_pairs(db: str = "default") -> list[tuple[int, int]]:
    """Pairs of servers that are loaded from one store, by jobs or by an `fnload` that runs: they should hold the same samples."""
    feeds = Feed.objects.using(db).filter(Q(scheduled=True) | Q(running_since__isnull=False), paused_at=None)
    servers: dict[str, set[int]] = defaultdict(set)
    for store, server in feeds.values_list("store_digest", "server"):
        servers[store].add(server)
    return sorted({pair for group in servers.values() for pair in combinations(sorted(group), 2)})


def compare_and_store(first: int, second: int, stop: Callable[[], bool], db: str = "default") -> str:
    """Compares two servers and stores when, a summary, and the samples that differ (up to MAX_FINDINGS). Repairs nothing.

    An incomplete comparison stores nothing and returns the reason.
    """
    servers = [Server.objects.using(db).filter(pk=key).first() for key in sorted((first, second))]
    if not (servers[0] and servers[1]):
        return f"{first}, {second}: removed"
    names = f"{servers[0].url} and {servers[1].url}"
    differences: list[TwinDifference] = []
    try:
        with server_comparison(twin_of(servers[0], db), twin_of(servers[1], db), db) as compared:
            for difference in compared.differences():
                if stop():
                    return f"{names}: stopped before the end"
                if len(differences) < MAX_FINDINGS:
                    differences.append(difference)
    except (ServerUnavailable, ServerMisconfigured) as error:
        return f"{names}: comparison failed: {error}"
    _store(servers[0], servers[1], compared, differences, db)
    return compared.summary


def _store(
    first: Server, second: Server, compared: ServerComparison, differences: list[TwinDifference], db: str
) -> None:
    columns = {
        "summary": compared.summary,
        "in_first": compared.in_first,
        "in_second": compared.in_second,
        "only_first": compared.counts[TwinKind.ONLY_FIRST],
        "only_second": compared.counts[TwinKind.ONLY_SECOND],
        "queued": compared.counts[TwinKind.QUEUED],
        "validity_differs": compared.counts[TwinKind.VALIDITY],
    }
    with transaction.atomic(using=db):
        row, _ = TwinComparison.objects.using(db).update_or_create(
            first=first, second=second, defaults={**columns, "at": Now()}
        )
        TwinFinding.objects.using(db).filter(comparison=row).delete()
        rows = (TwinFinding(comparison=row, kind=one.kind, guid=one.guid[:255], note=one.note) for one in differences)
        TwinFinding.objects.using(db).bulk_create(rows, batch_size=PAGE_SIZE)


def _client(url: str) -> FindNeighbour4:
    from loader.fn4.client import FindNeighbour4

    return FindNeighbour4(url, settings.FN4_AUTH.get("", ""), settings.FN4_CA_BUNDLE)
