"""What should not be, of servers and feeds: one core for the overview and for `fnstatus` (docs/loader.md lists the kinds).

Everything here reads. Times are compared by the database's clock.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Min, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from core.concerns import Concern, Level, PageLink
from core.formatting import pluralize
from core.processes import is_dead
from loader.choices import AttemptOutcome, ObjectState
from loader.models import BucketObject, Feed, LoadAttempt, Server
from loader.querysets import NOT_IN_SERVER, StateCount, number_of, of_feed

DAY = timedelta(days=1)
GRACE = timedelta(seconds=60)
"""Beyond a feed's interval (domain.md 4); and for each other feed of its server, whose turn it may be."""
CLOCKS_APART = timedelta(seconds=60)
FEEDS_PAGE = PageLink("See the feeds", "loader:feeds", "loader.view_feed")


@dataclass(frozen=True)
class LoaderReport:
    """What one look at the tables showed."""

    servers: list[Server]
    """Annotated with `held` (somebody holds a lease that has not expired) and `now` (the database's time)."""
    feeds: list[Feed]
    concerns: list[Concern]


def loader_concerns(db: str = "default") -> LoaderReport:
    """Five queries, whatever the tables hold."""
    servers = list(_servers(db))
    feeds = list(_feeds(db))
    now = servers[0].now if servers else timezone.now()  # type: ignore[attr-defined]
    concerns = [
        *_clocks(servers, feeds, now),
        *_server_concerns(servers, {feed.server_id for feed in feeds}, _open_attempts(db), now),
        *_feed_concerns(feeds, now),
        *_wrong_statuses(db, now),
    ]
    return LoaderReport(servers, feeds, concerns)


def _servers(db: str) -> Iterator[Server]:
    # Whether a lease is alive is the database's clock to say (design.md, promise 6).
    alive = ~Q(lease_token="") & Q(lease_expires__gt=Now())
    yield from Server.objects.using(db).annotate(held=alive, now=Now()).order_by("identity")


def _feeds(db: str) -> QuerySet[Feed]:
    """With `sent`, when something was last sent from it; and how many files wait or are rejected, and since when.

    A few steps into indexes for each feed.
    """
    tries = LoadAttempt.objects.filter(feed=OuterRef("pk"), bucket_read_start_time__isnull=False)
    sent = tries.filter(insert_start_time__isnull=False).order_by("-bucket_read_start_time")
    waiting = BucketObject.objects.filter(state=ObjectState.WAITING)
    rejected = BucketObject.objects.filter(state=ObjectState.REJECTED, acknowledged_at=None)
    rows = Feed.objects.using(db).select_related("server").order_by("name")
    return rows.annotate(
        sent=Subquery(sent.values("insert_start_time")[:1]),
        waiting=number_of(waiting),
        waiting_since=of_feed(waiting, Min("first_seen")),
        rejected=number_of(rejected),
        rejected_since=of_feed(rejected, Min("first_seen")),
    )


def _open_attempts(db: str) -> dict[int | None, StateCount]:
    still = LoadAttempt.objects.using(db).filter(server__isnull=False, outcome=AttemptOutcome.OPEN).order_by()
    groups = still.values_list("server").annotate(n=Count("*"), first=Min("insert_start_time"))
    return {server: StateCount(number, earliest) for server, number, earliest in groups}


def _clocks(servers: list[Server], feeds: list[Feed], now: datetime) -> Iterator[Concern]:
    apart = timezone.now() - now
    if abs(apart) > CLOCKS_APART:
        ahead = "ahead of" if apart > timedelta(0) else "behind"
        yield Concern(
            Level.BAD,
            f"This host's clock is {_age_text(apart)} {ahead} the database's",
            "Stores refuse signatures of a wrong time, and times on pages and in rows do not agree.",
            "Let both hosts set their clocks (NTP). Leases and waits go by the database's clock.",
            kind="clocks_apart",
        )
    known = [feed.checked_at for feed in feeds] + [server.lease_heartbeat for server in servers]
    latest = max((at for at in known if at), default=now)
    if latest - now > CLOCKS_APART:
        yield Concern(
            Level.BAD,
            f"The database's clock jumped back by {_age_text(latest - now)}",
            f"There is a row of {latest:%Y-%m-%d %H:%M:%S} UTC, which is still to come.",
            "Set its host's clock (NTP). Until then leases last longer, and files are tried again later.",
            kind="clock_jumped",
        )


def _server_concerns(
    servers: list[Server], fed: set[int], unclosed: dict[int | None, StateCount], now: datetime
) -> Iterator[Concern]:
    for server in servers:
        if server.circuit_open_since and server.pk in fed:
            yield Concern(
                Level.BAD,
                f"Server {server} is away",
                server.circuit_reason,
                "Nothing is lost and no try is spent: fnload goes on by itself once the server answers again.",
                since=server.circuit_open_since,
                link=FEEDS_PAGE,
                kind="server_away",
                about=server.identity,
            )
        if server.taken_over_at and now - server.taken_over_at < DAY:
            yield _taken_over(server)
        if server.held and not is_dead(server.lease_process):  # type: ignore[attr-defined]
            continue
        if server.lease_token:
            yield Concern(
                Level.BAD,
                f"The loader of {server} stopped without a word",
                f"It was process {server.lease_pid} on {server.lease_host}.",
                "Start fnload for this server again: it first settles what the other one left.",
                since=server.lease_heartbeat,
                link=FEEDS_PAGE,
                kind="loader_vanished",
                about=server.identity,
            )
        if found := unclosed.get(server.pk):
            yield _attempts_open(server, found)


def _taken_over(server: Server) -> Concern:
    return Concern(
        Level.WARN,
        f"Another loader took over {server}",
        f"The one before, {server.taken_over_from}, had not given it back: killed, stopped, or cut off from the database.",
        "What it left open was settled. Find out why it ended; this is forgotten after a day.",
        since=server.taken_over_at,
        link=FEEDS_PAGE,
        kind="lease_taken_over",
        about=server.identity,
    )


def _attempts_open(server: Server, found: StateCount) -> Concern:
    return Concern(
        Level.WARN,
        f"{pluralize(found.number, 'load attempt')} on {server} left open",
        "Nobody loads this server now, so nobody knows yet how they ended.",
        "Start fnload for this server again: it asks the server before it sends anything.",
        since=found.earliest,
        link=_attempts_page(outcome=AttemptOutcome.OPEN),
        kind="attempts_open",
        about=server.identity,
    )


def _feed_concerns(feeds: list[Any], now: datetime) -> Iterator[Concern]:
    on_server = Counter(feed.server_id for feed in feeds)
    for feed in feeds:
        if feed.paused_at:
            yield _paused(feed)
        elif concern := _silent(feed, on_server[feed.server_id] - 1, now):
            yield concern
        if feed.waiting and now - feed.waiting_since > timedelta(seconds=feed.oldest_limit):
            yield _too_old(feed)
        if feed.rejected:
            yield _rejected(feed)
        if feed.reconcile_lost:
            yield _samples_lost(feed)


def _paused(feed: Feed) -> Concern:
    return Concern(
        Level.BAD,
        f"Feed {feed} is paused",
        feed.pause_reason,
        "Nothing is loaded from it until somebody resumes it, on its page or with",
        command=f"python manage.py feed resume {feed}",
        since=feed.paused_at,
        link=_feed_page(feed),
        kind="feed_paused",
        about=feed.name,
    )


def _silent(feed: Feed, others: int, now: datetime) -> Concern | None:
    """A feed that is meant to run, whose bucket nobody lists and from which nothing is sent.

    Meant to run are scheduled feeds, and those whose fnload (without --once) was not told to stop.
    """
    if not (feed.scheduled or feed.running_since) or feed.server.circuit_open_since:
        return None
    interval = feed.running_interval if feed.running_since and feed.running_interval else feed.interval
    limit = timedelta(seconds=interval) + GRACE * (1 + others)
    sent: datetime | None = feed.sent  # type: ignore[attr-defined]
    last = max(at for at in (feed.checked_at, feed.running_since, feed.created_at, sent) if at)
    if now - last <= limit:
        return None
    return Concern(
        Level.BAD,
        f"Nothing is checked or inserted for feed {feed}",
        f"It should be every {interval:g} s. Its loader ended, hangs, or can't list the bucket or get the lease.",
        "Look at what fnload or qcluster says (journal, log), start it again if it is gone, and try the links of the feed with",
        command=f"python manage.py feed test {feed}",
        since=last,
        link=_feed_page(feed),
        kind="feed_silent",
        about=feed.name,
    )


def _too_old(feed: Any) -> Concern:  # noqa: ANN401 - a row of _feeds
    return Concern(
        Level.WARN,
        f"Files of feed {feed} wait for more than {_age_text(timedelta(seconds=feed.oldest_limit))}",
        f"{pluralize(feed.waiting, 'file')} not loaded yet; the server is slow, or they fail again and again.",
        "Their reasons say which. The limit is a setting of the feed.",
        since=feed.waiting_since,
        link=_feed_page(feed),
        kind="waiting_too_long",
        about=feed.name,
    )


def _rejected(feed: Any) -> Concern:  # noqa: ANN401 - a row of _feeds
    return Concern(
        Level.WARN,
        f"{pluralize(feed.rejected, 'file')} of feed {feed} can't be loaded",
        "Each has its reason. A corrected file under the same name is loaded by itself.",
        "When somebody has taken note:",
        command=f"python manage.py feed acknowledge {feed}",
        since=feed.rejected_since,
        link=_feed_page(feed),
        kind="files_rejected",
        about=feed.name,
    )


def _samples_lost(feed: Feed) -> Concern:
    return Concern(
        Level.BAD,
        f"{pluralize(feed.reconcile_lost, 'loaded sample')} of feed {feed} not in the server",
        f"So found the last comparison: {feed.reconcile_said}. Was the server restored from a backup?",
        "Which they are, and to load them again if their files are still in the bucket:",
        command=f"python manage.py feed reconcile {feed} --repair",
        since=feed.reconciled_at,
        link=_feed_page(feed),
        kind="samples_lost",
        about=feed.name,
    )


def _wrong_statuses(db: str, now: datetime) -> Iterator[Concern]:
    """Answers other than 200 and 201 in the last day: what the reference text asks first."""
    # Grouped by an expression, because for the bare column SQLite would read all of its index.
    servers: dict[str, list[tuple[int | None, int, datetime]]] = defaultdict(list)
    for wrong in NOT_IN_SERVER:
        rows = LoadAttempt.objects.using(db).filter(wrong, insert_start_time__gte=now - DAY)
        named = rows.annotate(server_url=Coalesce("findneighbour_server_url", Value("")))
        groups = named.order_by("insert_status_code").values_list("server_url", "insert_status_code")
        for url, status, number, first in groups.annotate(n=Count("*"), first=Min("insert_start_time")):
            servers[url].append((status, number, first))
    for url, found in sorted(servers.items()):
        yield Concern(
            Level.WARN,
            f"{url} answered inserts with " + ", ".join(f"{status} ({number:,} times)" for status, number, _ in found),
            "In the last day; 200 and 201 are right.",
            "The messages of those load attempts say what became of the samples.",
            since=min(first for _, _, first in found),
            link=_attempts_page(wrong=1, when="day", server=url),
            kind="wrong_statuses",
            about=url,
        )


def _age_text(span: timedelta) -> str:
    seconds = abs(round(span.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _feed_page(feed: Feed) -> PageLink:
    return PageLink(f"Open feed {feed}", "loader:feed", "loader.view_feed", (feed.name,))


def _attempts_page(**filters: object) -> PageLink:
    return PageLink("Show these attempts", "loader:attempts", "loader.view_loadattempt", query=f"?{urlencode(filters)}")
