"""The loader's half of the overview: servers, feeds, the last day and the last attempts of the default database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.charts import Chart
from core.concerns import Concern
from core.formatting import pluralize
from fnloader_site.overview.entries import SHOWN, Running
from fnloader_site.overview.last_day import loading_charts
from loader.choices import FEED_STATE_COLOURS
from loader.concerns import loader_concerns
from loader.models import Feed, LoadAttempt, Server
from loader.querysets import feeds_with_state

MOST = 100
"""Feeds shown; more than that is a matter of their own pages."""


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
class LoaderSection:
    """What somebody who may see load attempts is shown."""

    concerns: list[Concern]
    running: list[Running]
    feeds: list[Feed]
    """With what `loader.querysets.feeds_with_state` reckons for each, and `colour`."""
    more_feeds: bool
    attempts: list[AttemptRow]
    charts: list[Chart]
    waiting: int
    oldest: datetime | None
    """Since when the earliest of those that wait has been in its bucket."""
    rejected: int

    @property
    def loaded(self) -> float:
        """Samples loaded in the last 24 hours."""
        return sum(value or 0 for value in self.charts[0].series[0].values)


def loader_section(now: datetime) -> LoaderSection:
    """Thirteen queries, whatever the tables hold."""
    seen = loader_concerns()
    rows: list[Any] = list(feeds_with_state().order_by("name")[: MOST + 1])
    for row in rows:
        row.colour = FEED_STATE_COLOURS[row.stands]
    return LoaderSection(
        concerns=seen.concerns,
        running=[_running(server, rows) for server in seen.servers if server.held],  # type: ignore[attr-defined]
        feeds=rows[:MOST],
        more_feeds=len(rows) > MOST,
        attempts=[
            _attempt_row(one) for one in LoadAttempt.objects.select_related("feed").order_by("-gp_int_id")[:SHOWN]
        ],
        charts=loading_charts(now),
        waiting=sum(row.waiting for row in rows),
        oldest=min((row.oldest for row in rows if row.oldest), default=None),
        rejected=sum(row.rejected for row in rows),
    )


def _running(server: Server, rows: list[Any]) -> Running:
    who = f"process {server.lease_pid} on {server.lease_host}"
    waiting = sum(row.waiting for row in rows if row.server_id == server.pk)
    until = f"{pluralize(waiting, 'sample')} to go" if waiting else "nothing is due"
    return Running(f"Loading into {server}", who, server.lease_heartbeat, "last sign of life", until=until)


def _attempt_row(attempt: LoadAttempt) -> AttemptRow:
    return AttemptRow(attempt, attempt.get_outcome_display() or "by an older loader", attempt.colour)
