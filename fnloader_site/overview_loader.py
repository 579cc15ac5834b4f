"""The loader's half of the overview: servers, feeds, the last batch loads and attempts of the default database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import Now

from fnloader_site.overview import SHOWN, Concern, Level, Running, many
from loader.models import BatchLoad, BucketObject, Feed, LoadAttempt, Outcome, Server, State

MOST = 100
"""Feeds and servers shown; more than that is a matter of their own pages."""

COLOURS = {
    Outcome.OPEN: "blue",
    Outcome.INSERTED: "green",
    Outcome.PRESENT: "green",
    Outcome.FOUND: "green",
    Outcome.REJECTED: "red",
    Outcome.FAILED: "orange",
    Outcome.NOT_SENT: "grey",
}


class Counted(NamedTuple):
    """Objects of a feed in one state, and when the earliest of them was created."""

    number: int = 0
    earliest: datetime | None = None


@dataclass(frozen=True)
class FeedRow:
    """One feed with the numbers of its objects."""

    feed: Feed
    counted: dict[str, Counted]
    status: str
    colour: str

    @property
    def waiting(self) -> int:
        """Objects that are still to be loaded, those in work among them."""
        return self._number(State.WAITING) + self._number(State.LOADING)

    @property
    def oldest_waiting(self) -> datetime | None:
        """When the earliest of those that wait was written to the bucket."""
        return self.counted.get(State.WAITING, Counted()).earliest

    @property
    def loaded(self) -> int:
        """Objects whose sample is in the server."""
        return self._number(State.LOADED)

    @property
    def rejected(self) -> int:
        """Objects that can't be loaded as they are."""
        return self._number(State.REJECTED)

    def _number(self, state: State) -> int:
        return self.counted.get(state, Counted()).number


@dataclass(frozen=True)
class AttemptRow:
    """One load attempt as it is shown."""

    attempt: LoadAttempt
    outcome: str
    colour: str

    @property
    def matter(self) -> str:
        """Why it failed; for rows of older loaders what they said of the file. Empty if nothing was the matter."""
        status = self.attempt.parse_status or ""
        return self.attempt.message or ("" if status == "Success" else status)


@dataclass(frozen=True)
class LoaderHalf:
    """What somebody who may see load attempts is shown."""

    concerns: list[Concern]
    running: list[Running]
    feeds: list[FeedRow]
    loads: list[BatchLoad]
    attempts: list[AttemptRow]
    waiting: int
    loaded: int
    rejected: int


def loader_half() -> LoaderHalf:
    """Six queries, whatever the tables hold; the numbers of objects come from the index on feed and state."""
    counted = _objects_by_state()
    feeds = list(Feed.objects.select_related("server").order_by("name")[:MOST])
    rows = [_feed_row(feed, counted[feed.pk]) for feed in feeds]
    servers = list(_servers())
    unclosed = _open_attempts(servers)
    return LoaderHalf(
        concerns=[*_server_concerns(servers, unclosed), *_feed_concerns(rows)],
        running=[_running(server) for server in servers if server.held],  # type: ignore[attr-defined]
        feeds=rows,
        loads=list(BatchLoad.objects.select_related("feed").order_by("-bl_int_id")[:SHOWN]),
        attempts=[
            _attempt_row(one) for one in LoadAttempt.objects.select_related("feed").order_by("-gp_int_id")[:SHOWN]
        ],
        waiting=sum(row.waiting for row in rows),
        loaded=sum(row.loaded for row in rows),
        rejected=sum(row.rejected for row in rows),
    )


def _objects_by_state() -> dict[int, dict[str, Counted]]:
    found: dict[int, dict[str, Counted]] = defaultdict(dict)
    groups = BucketObject.objects.order_by().values_list("feed", "state").annotate(n=Count("pk"), first=Min("created"))
    for feed, state, number, earliest in groups:
        found[feed][state] = Counted(number, earliest)
    return found


def _servers() -> QuerySet[Server]:
    # Whether a lease is alive is the database's clock to say (design.md, promise 6).
    alive = ~Q(lease_token="") & Q(lease_expires__gt=Now())
    return Server.objects.annotate(held=alive).order_by("identity")[:MOST]


def _open_attempts(servers: list[Server]) -> dict[int, Counted]:
    still = LoadAttempt.objects.filter(server__in=[server.pk for server in servers], outcome=Outcome.OPEN)
    groups = still.order_by().values_list("server").annotate(n=Count("pk"), first=Min("insert_start_time"))
    return {server: Counted(number, earliest) for server, number, earliest in groups}


def _server_concerns(servers: list[Server], unclosed: dict[int, Counted]) -> Iterator[Concern]:
    for server in servers:
        if server.circuit_open_since:
            yield Concern(
                Level.BAD,
                f"Server {server} is away",
                server.circuit_reason,
                "Nothing is lost and no try is spent: fnload goes on by itself once the server answers again.",
                since=server.circuit_open_since,
            )
        if server.held:  # type: ignore[attr-defined]
            continue
        if server.lease_token:
            yield Concern(
                Level.BAD,
                f"The loader of {server} stopped without a word",
                f"It was process {server.lease_pid} on {server.lease_host}.",
                "Start fnload for this server again: it first settles what the other one left.",
                since=server.lease_heartbeat,
            )
        if found := unclosed.get(server.pk):
            yield Concern(
                Level.WARN,
                f"{many(found.number, 'load attempt')} on {server} left open",
                "Nobody loads this server now, so nobody knows yet how they ended.",
                "Start fnload for this server again: it asks the server before it sends anything.",
                since=found.earliest,
                link="admin:loader_loadattempt_changelist",
                query="outcome__exact=open",
                permission="loader.view_loadattempt",
            )


def _feed_concerns(rows: list[FeedRow]) -> Iterator[Concern]:
    for row in rows:
        if row.feed.paused_at:
            yield Concern(
                Level.BAD,
                f"Feed {row.feed} is paused",
                row.feed.pause_reason,
                "Nothing is loaded from it until somebody resumes it in the admin.",
                since=row.feed.paused_at,
                link="admin:loader_feed_changelist",
                query="paused_at__isempty=0",
                permission="loader.view_feed",
            )
        if row.rejected:
            yield Concern(
                Level.WARN,
                f"{many(row.rejected, 'file')} of feed {row.feed} can't be loaded",
                "Each has its reason. A corrected file under the same name is loaded by itself.",
                link="admin:loader_bucketobject_changelist",
                query=f"feed__id__exact={row.feed.pk}&state__exact={State.REJECTED}",
                permission="loader.view_bucketobject",
            )


def _running(server: Server) -> Running:
    who = f"process {server.lease_pid} on {server.lease_host}"
    return Running(f"Loading into {server}", who, server.lease_heartbeat, "last sign of life")


def _feed_row(feed: Feed, counted: dict[str, Counted]) -> FeedRow:
    if feed.paused_at:
        return FeedRow(feed, counted, "paused", "red")
    if feed.server.circuit_open_since:
        return FeedRow(feed, counted, "server away", "red")
    if feed.checked_at is None:
        return FeedRow(feed, counted, "never checked", "grey")
    return FeedRow(feed, counted, "in order", "green")


def _attempt_row(attempt: LoadAttempt) -> AttemptRow:
    if attempt.outcome is None:
        done = attempt.insert_status_code in (200, 201)
        return AttemptRow(attempt, "by an older loader", "green" if done else "grey")
    return AttemptRow(attempt, attempt.get_outcome_display(), COLOURS[Outcome(attempt.outcome)])
