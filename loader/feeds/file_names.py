"""What a feed's rules make of the names in its bucket: a preview before they are saved, and what follows when they are."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from loader.choices import ObjectState
from loader.feeds.store_urls import open_feed_store
from loader.ledger.left_out import LeftOut
from loader.ledger.scan import PAGE_SIZE
from loader.models import BucketObject, Feed

PREVIEWED = 5


@dataclass(frozen=True)
class NamePreview:
    """What the rules of a feed make of one name."""

    name: str
    loaded: bool
    """Whether its ending is one of the feed's."""
    id: str
    """By the feed's rule."""
    up_to_first_dot: str
    without_ending: str


def preview_names(feed: Feed, names: Iterable[str]) -> list[NamePreview]:
    """These names by the feed's rules, saved or not, and by both rules for the sample id."""
    rules = feed.name_rules
    first_dot, ending = (type(rules)(rules.endings, up_to_first_dot) for up_to_first_dot in (True, False))
    return [
        NamePreview(
            name, rules.is_fasta(name), rules.sample_id(name), first_dot.sample_id(name), ending.sample_id(name)
        )
        for name in names
    ]


def last_names(feed: Feed, db: str) -> list[str]:
    """The names of the feed's files that were found last, newest first."""
    rows = BucketObject.objects.using(db).filter(feed=feed).order_by("-pk")
    return list(rows.values_list("name", flat=True)[:PREVIEWED])


def first_names(feed: Feed) -> tuple[list[str], LeftOut]:
    """The first names in the bucket of a feed that need not be saved: some that it loads, and what it leaves out of a page.

    Raises StoreError.
    """
    left_out, rules = LeftOut(), feed.name_rules
    with closing(open_feed_store(feed.store_url)) as store:
        names = [item.name for item in islice(store.list(), PAGE_SIZE)]
    left_out.add(name for name in names if not rules.is_fasta(name))
    return [name for name in names if rules.is_fasta(name)][:PREVIEWED], left_out


def update_sample_ids(feed: Feed, db: str) -> int:
    """Gives the files that are not loaded the sample ids of the feed's present rule. Returns the number that changed."""
    rows = BucketObject.objects.using(db).filter(feed=feed, state__in=(ObjectState.WAITING, ObjectState.REJECTED))
    rules, changed, last = feed.name_rules, 0, 0
    while page := list(rows.filter(pk__gt=last).order_by("pk").only("pk", "name", "seqid")[:PAGE_SIZE]):
        last = page[-1].pk
        stale = [row for row in page if row.seqid != rules.sample_id(row.name)[:255]]
        for row in stale:
            row.seqid = rules.sample_id(row.name)[:255]
        BucketObject.objects.using(db).bulk_update(stale, ["seqid"])
        changed += len(stale)
    return changed
