"""Concerns about what servers hold: many samples of no use, and twins that differ. `loader.concerns` asks for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from core.concerns import Concern, Level, PageLink
from core.formatting import pluralize
from loader.models import Feed, TwinComparison
from loader.validity import share_jump

Row = Any
"""A feed with annotations."""


def many_useless(feed: Row, now: datetime) -> Concern | None:
    """The share of samples with too many N jumped in the last day. `feed.invalid_day` is their number."""
    jump = share_jump(feed, now, feed._state.db or "default", feed.invalid_day)  # noqa: SLF001 - documented by Django
    if not jump:
        return None
    before = "nothing was loaded before" if jump.before is None else f"{100 * jump.before:.1f} % in the 30 days before"
    return Concern(
        Level.WARNING,
        f"{100 * jump.share:.0f} % of the samples of feed {feed} have too many N",
        f"{jump.invalid:,} of {pluralize(jump.loaded, 'sample')} of the last day are stored and can't be compared; {before}.",
        "Its page shows the runs or sites they are from. This warning ends when their share falls.",
        link=PageLink(f"Open feed {feed}", "loader:feed", "loader.view_feed", (feed.name,), "#invalid"),
        kind="many_useless",
        about=feed.name,
    )


def twins_differ(feeds: Iterable[Feed], db: str) -> Iterator[Concern]:
    """Servers whose feeds share a store, and that differed when they were last compared. One query."""
    by_server: dict[int, list[Feed]] = defaultdict(list)
    for feed in feeds:
        by_server[feed.server_id].append(feed)
    for twins in TwinComparison.objects.using(db).select_related("first", "second").order_by("pk"):
        first, second = by_server[twins.first_id], by_server[twins.second_id]
        stores = {feed.store_digest for feed in first} & {feed.store_digest for feed in second}
        if not (twins.differences and stores):
            continue
        names = [next(feed.name for feed in side if feed.store_digest in stores) for side in (first, second)]
        yield Concern(
            Level.WARNING,
            f"{pluralize(twins.differences, 'sample')} differ between {twins.first.url} and {twins.second.url}",
            f"Last comparison: {twins.summary}.",
            "List them, and reload what a bucket still has, with",
            command=f"python manage.py feed compare {names[0]} {names[1]} --repair",
            since=twins.at,
            link=PageLink("Show these samples", "loader:twins", "loader.view_feed", query=f"?comparison={twins.pk}"),
            kind="twins_differ",
            about=f"{twins.first} and {twins.second}"[:520],
        )
