"""The loader's half of the overview: servers, feeds, the last batch loads and attempts of the default database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fnloader_site.overview import SHOWN, Concern, Running
from loader.concerns import look
from loader.figures import Counted, objects_by_state
from loader.models import BatchLoad, Feed, LoadAttempt, Outcome, Server, State
from loader.showing import status

MOST = 100
"""Feeds shown; more than that is a matter of their own pages."""

STANDS = {"paused": "red", "server away": "red", "never checked": "grey", "in order": "green"}
COLOURS = {
    Outcome.OPEN: "blue",
    Outcome.INSERTED: "green",
    Outcome.PRESENT: "green",
    Outcome.FOUND: "green",
    Outcome.REJECTED: "red",
    Outcome.FAILED: "orange",
    Outcome.NOT_SENT: "grey",
}


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
    """Eight queries, whatever the tables hold, and one for each feed that seems silent."""
    seen, counted = look(), objects_by_state()
    rows = [_feed_row(feed, counted[feed.pk]) for feed in seen.feeds]
    return LoaderHalf(
        concerns=seen.concerns,
        running=[_running(server) for server in seen.servers if server.held],  # type: ignore[attr-defined]
        feeds=rows[:MOST],
        loads=list(BatchLoad.objects.select_related("feed").order_by("-bl_int_id")[:SHOWN]),
        attempts=[
            _attempt_row(one) for one in LoadAttempt.objects.select_related("feed").order_by("-gp_int_id")[:SHOWN]
        ],
        waiting=sum(row.waiting for row in rows),
        loaded=sum(row.loaded for row in rows),
        rejected=sum(row.rejected for row in rows),
    )


def _running(server: Server) -> Running:
    who = f"process {server.lease_pid} on {server.lease_host}"
    return Running(f"Loading into {server}", who, server.lease_heartbeat, "last sign of life")


def _feed_row(feed: Feed, counted: dict[str, Counted]) -> FeedRow:
    stands = status(feed)
    return FeedRow(feed, counted, stands, STANDS[stands])


def _attempt_row(attempt: LoadAttempt) -> AttemptRow:
    if attempt.outcome is None:
        done = attempt.insert_status_code in (200, 201)
        return AttemptRow(attempt, "by an older loader", "green" if done else "grey")
    return AttemptRow(attempt, attempt.get_outcome_display(), COLOURS[Outcome(attempt.outcome)])
