"""Concerns about servers and feeds, for the overview and `fnstatus` (docs/loader.md lists the kinds).

Everything here only reads. Times are compared by the database's clock.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
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
from loader.choices import AttemptOutcome, CircuitKind, LoadResult, ObjectState
from loader.data_concerns import many_useless, twins_differ
from loader.fn4.insert import LOCK_WAIT
from loader.models import BucketObject, Feed, LoadAttempt, Server
from loader.querysets import NOT_IN_SERVER, StateCount, number_of, of_feed

DAY = timedelta(days=1)
GRACE = timedelta(seconds=60)
"""Beyond a feed's interval (domain.md 4), and for each other feed of its server, which may have its turn."""
CLOCKS_APART = timedelta(seconds=60)
Row = Any
"""A server or feed with annotations."""
FEEDS_PAGE = PageLink("See the feeds", "loader:feeds", "loader.view_feed")


@dataclass(frozen=True)
class LoaderReport:
    """Servers and feeds, with all concerns about them."""

    servers: list[Server]
    """Annotated with `held` (a process holds a lease that has not expired) and `now` (the database's time)."""
    feeds: list[Feed]
    concerns: list[Concern]


def loader_concerns(db: str = "default") -> LoaderReport:
    """Six queries, whatever the tables hold, and three more for a feed with many samples of no use in the last day."""
    # The database's clock decides whether a lease is alive (design.md, promise 6).
    alive = ~Q(lease_token="") & Q(lease_expires__gt=Now())
    servers: list[Any] = list(Server.objects.using(db).annotate(held=alive, now=Now()).order_by("identity"))
    feeds: list[Any] = list(_feeds(db))
    now = servers[0].now if servers else timezone.now()
    feeds_of_server = Counter(feed.server_id for feed in feeds)
    rows = LoadAttempt.objects.using(db).filter(server__isnull=False, outcome=AttemptOutcome.OPEN).order_by()
    groups = rows.values_list("server").annotate(n=Count("*"), first=Min("insert_start_time"))
    open_attempts = {server: StateCount(number, earliest) for server, number, earliest in groups}
    concerns = list(_clocks(servers, feeds, now))
    for server in servers:
        server.is_fed = server.pk in feeds_of_server
        server.first_feed = next((feed.name for feed in feeds if feed.server_id == server.pk), "")
        server.has_loader = server.held and not is_dead(server.lease_process)
        server.open_attempts = open_attempts.get(server.pk)
        concerns += filter(None, (check(server, now) for check in SERVER_CHECKS))
    for feed in feeds:
        feed.other_feeds = feeds_of_server[feed.server_id] - 1
        concerns += filter(None, (check(feed, now) for check in FEED_CHECKS))
    concerns += twins_differ(feeds, db)
    return LoaderReport(servers, feeds, [*concerns, *_wrong_statuses(db, now)])


def _feeds(db: str) -> QuerySet[Feed]:
    """With `sent` (time of the last insert), and the number of files that wait or are rejected, and since when.

    A few steps into indexes for each feed.
    """
    tries = LoadAttempt.objects.filter(feed=OuterRef("pk"), bucket_read_start_time__isnull=False)
    sent = tries.filter(insert_start_time__isnull=False).order_by("-bucket_read_start_time")
    waiting = BucketObject.objects.filter(state=ObjectState.WAITING)
    rejected = BucketObject.objects.filter(state=ObjectState.REJECTED, acknowledged_at=None)
    unproven = BucketObject.objects.filter(result=LoadResult.UNPROVEN, acknowledged_at=None)
    rows = Feed.objects.using(db).select_related("server").order_by("name")
    return rows.annotate(
        sent=Subquery(sent.values("insert_start_time")[:1]),
        waiting=number_of(waiting),
        waiting_since=of_feed(waiting, Min("first_seen")),
        rejected=number_of(rejected),
        rejected_since=of_feed(rejected, Min("first_seen")),
        unproven=number_of(unproven),
        unproven_since=of_feed(unproven, Min("done_at")),
        invalid_day=number_of(BucketObject.objects.filter(result=LoadResult.INVALID, done_at__gte=Now() - DAY)),
    )


def _clocks(servers: list[Any], feeds: list[Any], now: datetime) -> Iterator[Concern]:
    apart = timezone.now() - now
    if abs(apart) > CLOCKS_APART:
        ahead = "ahead of" if apart > timedelta(0) else "behind"
        yield Concern(
            Level.ERROR,
            f"This host's clock is {_duration_text(apart)} {ahead} the database's",
            "Stores reject signatures with a wrong time, and times on pages and in rows disagree.",
            "Synchronize both hosts (NTP). Leases and delays follow the database's clock.",
            kind="clocks_apart",
        )
    times = [feed.checked_at for feed in feeds] + [server.lease_heartbeat for server in servers]
    latest = max((at for at in times if at), default=now)
    if latest - now > CLOCKS_APART:
        yield Concern(
            Level.ERROR,
            f"The database's clock jumped back by {_duration_text(latest - now)}",
            f"A row has the time {latest:%Y-%m-%d %H:%M:%S} UTC, which is in the future.",
            "Synchronize its host (NTP). What waits is brought back to its usual time.",
            kind="clock_jumped",
        )


def _unavailable(server: Row, _now: datetime) -> Concern | None:
    if not (server.circuit_open_since and server.is_fed) or server.circuit_kind not in ("", CircuitKind.AWAY):
        return None
    return Concern(
        Level.ERROR,
        f"Server {server} is unavailable",
        server.circuit_reason,
        "No data lost. Loading resumes automatically when the server responds.",
        since=server.circuit_open_since,
        link=FEEDS_PAGE,
        kind="server_away",
        about=server.identity,
    )


def _refuses(server: Row, _now: datetime) -> Concern | None:
    if not (server.circuit_open_since and server.is_fed and server.circuit_kind == CircuitKind.REFUSES):
        return None
    return Concern(
        Level.ERROR,
        f"Server {server} refuses every insert",
        server.circuit_reason,
        "Start its engine again, or make its database writable (disk full?). No data lost, no try spent: loading resumes "
        "within a minute of its recovery.",
        since=server.circuit_open_since,
        link=FEEDS_PAGE,
        kind="server_refuses",
        about=server.identity,
    )


def _locked(server: Row, now: datetime) -> Concern | None:
    if not (server.circuit_open_since and server.is_fed and server.circuit_kind == CircuitKind.LOCKED):
        return None
    if now - server.circuit_open_since < timedelta(seconds=LOCK_WAIT):
        return None
    return Concern(
        Level.ERROR,
        f"The insert lock of server {server} is stuck",
        f"{server.circuit_reason} A lock manager frees it within 150 s.",
        "Start the server's lock manager, or restart the server with --drop_locks. No data lost: loading resumes "
        "automatically.",
        since=server.circuit_open_since,
        link=FEEDS_PAGE,
        kind="lock_stuck",
        about=server.identity,
    )


def _shrunk(server: Row, _now: datetime) -> Concern | None:
    if not (server.shrunk_at and server.is_fed):
        return None
    return Concern(
        Level.ERROR,
        f"Server {server} holds fewer samples than before",
        f"{server.shrunk_note} It was emptied, or restored from a backup. Nothing is sent again by itself.",
        "Reload what is still in the bucket of each of its feeds, or dismiss with: feed acknowledge NAME. To reload, run",
        command=f"python manage.py feed reconcile {server.first_feed} --repair",
        since=server.shrunk_at,
        link=FEEDS_PAGE,
        kind="server_shrunk",
        about=server.identity,
    )


def _taken_over(server: Row, now: datetime) -> Concern | None:
    if not server.taken_over_at or now - server.taken_over_at >= DAY:
        return None
    return Concern(
        Level.WARNING,
        f"Another loader took over {server}",
        f"The previous one, {server.taken_over_from}, did not release its lease: killed, stopped or disconnected.",
        "Open attempts were recovered. Find out why it ended. This warning disappears after a day.",
        since=server.taken_over_at,
        link=FEEDS_PAGE,
        kind="lease_taken_over",
        about=server.identity,
    )


def _vanished(server: Row, _now: datetime) -> Concern | None:
    if server.has_loader or not server.lease_token:
        return None
    return Concern(
        Level.ERROR,
        f"Loader for {server} stopped unexpectedly",
        f"It was process {server.lease_pid} on {server.lease_host}.",
        "Restart fnload for this server. It recovers open attempts first.",
        since=server.lease_heartbeat,
        link=FEEDS_PAGE,
        kind="loader_vanished",
        about=server.identity,
    )


def _attempts_open(server: Row, _now: datetime) -> Concern | None:
    if server.has_loader or not server.open_attempts:
        return None
    number, earliest = server.open_attempts
    return Concern(
        Level.WARNING,
        f"{pluralize(number, 'open load attempt')} on {server}",
        "No loader runs for this server, so their outcome is unknown.",
        "Restart fnload for this server. It asks the server before it sends anything.",
        since=earliest,
        link=_attempts_page(outcome=AttemptOutcome.OPEN),
        kind="attempts_open",
        about=server.identity,
    )


def _paused(feed: Row, _now: datetime) -> Concern | None:
    if not feed.paused_at:
        return None
    return Concern(
        Level.ERROR,
        f"Feed {feed} is paused",
        feed.pause_reason,
        "Resume it on its page, or with",
        command=f"python manage.py feed resume {feed}",
        since=feed.paused_at,
        link=_feed_page(feed),
        kind="feed_paused",
        about=feed.name,
    )


def _silent(feed: Row, now: datetime) -> Concern | None:
    """A feed that should run, but whose bucket is not scanned and from which nothing is sent.

    Scheduled feeds should run, and those whose fnload (without --once) was not stopped.
    """
    if feed.paused_at or not (feed.scheduled or feed.running_since) or feed.server.circuit_open_since:
        return None
    interval = feed.running_interval if feed.running_since and feed.running_interval else feed.interval
    limit = timedelta(seconds=interval) + GRACE * (1 + feed.other_feeds)
    last = max(at for at in (feed.checked_at, feed.running_since, feed.created_at, feed.sent) if at)
    if now - last <= limit:
        return None
    return Concern(
        Level.ERROR,
        f"Feed {feed} is inactive",
        f"Expected a scan every {interval:g} s. The loader stopped, hangs, or can't list the bucket or get the lease.",
        "Check the log of fnload or qcluster, restart it if it stopped, and test the feed with",
        command=f"python manage.py feed test {feed}",
        since=last,
        link=_feed_page(feed),
        kind="feed_silent",
        about=feed.name,
    )


def _waiting_too_long(feed: Row, now: datetime) -> Concern | None:
    limit = timedelta(seconds=feed.oldest_limit)
    if not feed.waiting or now - feed.waiting_since <= limit:
        return None
    return Concern(
        Level.WARNING,
        f"Files of feed {feed} have waited longer than {_duration_text(limit)}",
        f"{pluralize(feed.waiting, 'file')} not loaded yet: the server is slow, or the files fail repeatedly.",
        "Check their reasons. The limit is a setting of the feed.",
        since=feed.waiting_since,
        link=_feed_page(feed),
        kind="waiting_too_long",
        about=feed.name,
    )


def _rejected(feed: Row, _now: datetime) -> Concern | None:
    if not feed.rejected:
        return None
    return Concern(
        Level.WARNING,
        f"{pluralize(feed.rejected, 'file')} of feed {feed} rejected",
        "Each file has its reason. A corrected file with the same name is loaded automatically.",
        "Dismiss with",
        command=f"python manage.py feed acknowledge {feed}",
        since=feed.rejected_since,
        link=_feed_page(feed),
        kind="files_rejected",
        about=feed.name,
    )


def _links_unproven(feed: Row, _now: datetime) -> Concern | None:
    if not feed.unproven:
        return None
    return Concern(
        Level.WARNING,
        f"{pluralize(feed.unproven, 'sample')} of feed {feed} stored, links unproven",
        "The server stored them and may not have stored their links to earlier samples: their inserts ended unclear.",
        "What proves or mends it: docs/reliability.md, Links. Dismiss with",
        command=f"python manage.py feed acknowledge {feed}",
        since=feed.unproven_since,
        link=PageLink(
            "Show these samples",
            "loader:files",
            "loader.view_bucketobject",
            query=f"?{urlencode({'feed': feed.pk, 'result': LoadResult.UNPROVEN})}",
        ),
        kind="links_unproven",
        about=feed.name,
    )


def _samples_lost(feed: Row, _now: datetime) -> Concern | None:
    if not feed.reconcile_lost:
        return None
    return Concern(
        Level.ERROR,
        f"{pluralize(feed.reconcile_lost, 'loaded sample')} of feed {feed} missing from the server",
        f"Last comparison: {feed.reconcile_said}. Was the server restored from a backup?",
        "List them, and reload those whose files are still in the bucket, with",
        command=f"python manage.py feed reconcile {feed} --repair",
        since=feed.reconciled_at,
        link=_feed_page(feed),
        kind="samples_lost",
        about=feed.name,
    )


Check = Callable[[Row, datetime], Concern | None]
SERVER_CHECKS: tuple[Check, ...] = (_unavailable, _refuses, _locked, _shrunk, _taken_over, _vanished, _attempts_open)
FEED_CHECKS: tuple[Check, ...] = (
    _paused,
    _silent,
    _waiting_too_long,
    _rejected,
    _links_unproven,
    _samples_lost,
    many_useless,
)


def _wrong_statuses(db: str, now: datetime) -> Iterator[Concern]:
    """Answers other than 200 and 201 in the last day: the first query of the reference text."""
    # Grouped by an expression: for the bare column SQLite would read all of its index.
    servers: dict[str, list[tuple[int | None, int, datetime]]] = defaultdict(list)
    for condition in NOT_IN_SERVER:
        rows = LoadAttempt.objects.using(db).filter(condition, insert_start_time__gte=now - DAY)
        named = rows.annotate(server_url=Coalesce("findneighbour_server_url", Value("")))
        groups = named.order_by("insert_status_code").values_list("server_url", "insert_status_code")
        for url, status, number, first in groups.annotate(n=Count("*"), first=Min("insert_start_time")):
            servers[url].append((status, number, first))
    for url, statuses in sorted(servers.items()):
        numbers = ", ".join(f"HTTP {status} ({number:,} times)" for status, number, _ in statuses)
        yield Concern(
            Level.WARNING,
            f"{url} answered inserts with {numbers}",
            "In the last day. Expected: 200 or 201.",
            "Check the messages of these load attempts.",
            since=min(first for _, _, first in statuses),
            link=_attempts_page(wrong=1, when="day", server=url),
            kind="wrong_statuses",
            about=url,
        )


def _duration_text(duration: timedelta) -> str:
    seconds = abs(round(duration.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _feed_page(feed: Feed) -> PageLink:
    return PageLink(f"Open feed {feed}", "loader:feed", "loader.view_feed", (feed.name,))


def _attempts_page(**filters: object) -> PageLink:
    return PageLink("Show these attempts", "loader:attempts", "loader.view_loadattempt", query=f"?{urlencode(filters)}")
