"""The overview's section of the loader: servers, feeds, the last day and the last attempts, in the default database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.charts import Chart
from core.concerns import Concern
from core.formatting import pluralize
from fnloader_site.overview.entries import LIST_LENGTH, RunningTask
from fnloader_site.overview.last_day import loading_charts
from loader.concerns import loader_concerns
from loader.models import Feed, LoadAttempt
from loader.outlook import Outlook, feeds_with_pace, outlooks, span_text

MAX_FEEDS = 100
"""Feeds shown; the list of feeds has the rest."""


@dataclass(frozen=True)
class AttemptRow:
    """A load attempt in a table; one of an older loader has no outcome."""

    attempt: LoadAttempt

    @property
    def outcome(self) -> str:
        """Its outcome as a label."""
        return self.attempt.get_outcome_display() or "Older loader"

    @property
    def error(self) -> str:
        """Why it failed; of an older loader, the result of parsing. Empty if it did not fail."""
        status = self.attempt.parse_status or ""
        return self.attempt.message or ("" if status == "Success" else status)


@dataclass(frozen=True)
class LoaderSection:
    """For users who may see load attempts."""

    concerns: list[Concern]
    running: list[RunningTask]
    feeds: list[Feed]
    """With the annotations of `loader.querysets.feeds_with_state`, and `colour`."""
    more_feeds: bool
    attempts: list[AttemptRow]
    charts: list[Chart]
    waiting: int
    oldest: datetime | None
    """When the oldest waiting file was put into its bucket."""
    rejected: int

    @property
    def loaded(self) -> float:
        """Samples loaded in the last 24 hours."""
        return sum(value or 0 for value in self.charts[0].series[0].values)


def loader_section(now: datetime) -> LoaderSection:
    """Thirteen queries, whatever the tables hold."""
    status = loader_concerns()
    feeds: list[Any] = list(feeds_with_pace().order_by("name")[: MAX_FEEDS + 1])
    forecasts = outlooks(feeds, now)
    attempts = LoadAttempt.objects.select_related("feed").order_by("-gp_int_id")[:LIST_LENGTH]
    running = []
    for server in status.servers:
        if server.held:  # type: ignore[attr-defined]
            process = f"process {server.lease_pid} on {server.lease_host}"
            forecast = _forecast([forecasts[feed.pk] for feed in feeds if feed.server_id == server.pk])
            since = server.lease_heartbeat
            running.append(RunningTask(f"Loading into {server}", process, since, "last heartbeat", forecast=forecast))
    return LoaderSection(
        concerns=status.concerns,
        running=running,
        feeds=feeds[:MAX_FEEDS],
        more_feeds=len(feeds) > MAX_FEEDS,
        attempts=[AttemptRow(attempt) for attempt in attempts],
        charts=loading_charts(now),
        waiting=sum(feed.waiting for feed in feeds),
        oldest=min((feed.oldest for feed in feeds if feed.oldest), default=None),
        rejected=sum(feed.rejected for feed in feeds),
    )


def _forecast(outlooks_of_server: list[Outlook]) -> str:
    """What waits for a server, and when it will be loaded."""
    waiting = sum(outlook.waiting for outlook in outlooks_of_server)
    if not waiting:
        return "nothing is due"
    text = f"{pluralize(waiting, 'sample')} waiting"
    known = [outlook for outlook in outlooks_of_server if outlook.earliest and outlook.latest]
    if not known:
        return text
    first, last = (max(one.earliest for one in known if one.earliest), max(one.latest for one in known if one.latest))
    return f"{text}, {known[0].pace}, done {span_text(first, last)}"
