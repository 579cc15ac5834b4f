"""Feeds as `feed list` and `feed show` print them, and as their JSON (docs/loader.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.formatting import format_time, text_table
from loader.choices import ObjectState
from loader.models import Feed
from loader.querysets import StateCount, objects_by_state

FEED_COLUMNS = ("feed", "status", "waiting", "loaded", "rejected", "checked", "server", "store")


def feed_rows(db: str) -> list[dict[str, Any]]:
    """All feeds by name, each with its numbers."""
    counted = objects_by_state(db)
    return [_feed(feed, counted[feed.pk]) for feed in Feed.objects.using(db).select_related("server").order_by("name")]


def feed_details(feed: Feed, db: str) -> dict[str, Any]:
    """One feed with its settings and its server."""
    server = feed.server
    return _feed(feed, objects_by_state(db)[feed.pk]) | {
        "header_prefix": feed.header_prefix,
        "strict_ids": feed.strict_ids,
        "interval": feed.interval,
        "largest": feed.largest,
        "scheduled": feed.scheduled,
        "refusals_limit": feed.refusals_limit,
        "refusals_in_row": feed.refusals_in_row,
        "oldest_limit": feed.oldest_limit,
        "running_since": _iso(feed.running_since),
        "server_number": server.number_in_server,
        "server_counted_at": _iso(server.counted_at),
        "circuit_open_since": _iso(server.circuit_open_since),
        "circuit_reason": server.circuit_reason,
    }


def list_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The lines of `feed list`."""
    return text_table(
        FEED_COLUMNS,
        [
            (
                row["name"],
                row["status"],
                f"{row['waiting'] + row['loading']:,}",
                f"{row['loaded']:,}",
                f"{row['rejected']:,}",
                format_time(datetime.fromisoformat(row["checked_at"])) if row["checked_at"] else "never",
                row["server"],
                row["store"],
            )
            for row in rows
        ],
    )


def detail_lines(details: dict[str, Any]) -> list[str]:
    """The lines of `feed show`."""
    return [f"{key.replace('_', ' '):<20} {'-' if value in (None, '') else value}" for key, value in details.items()]


def _feed(feed: Feed, counted: dict[str, StateCount]) -> dict[str, Any]:
    return {
        "name": feed.name,
        "status": feed.state.value,
        "server": feed.server.identity,
        "store": feed.store_url,
        "paused_at": _iso(feed.paused_at),
        "pause_reason": feed.pause_reason,
        "checked_at": _iso(feed.checked_at),
        **{state.value: counted.get(state, StateCount()).number for state in ObjectState},
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
