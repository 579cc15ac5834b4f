"""Feeds as `feed list` and `feed show` print them, and as their JSON (docs/loader.md)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.utils import timezone

from core.formatting import format_time, printable, text_table
from loader.bottleneck import recent_flow
from loader.choices import FeedState, ObjectState
from loader.feeds.file_names import NamePreview, last_names, preview_names
from loader.feeds.store_urls import meaning
from loader.models import Feed
from loader.outlook import feeds_with_pace, outlooks
from loader.querysets import StateCount, objects_by_state

FEED_COLUMNS = ("feed", "status", "waiting", "loaded", "rejected", "checked", "server", "store")


def feed_rows(db: str) -> list[dict[str, Any]]:
    """All feeds by name, each with its numbers."""
    counted = objects_by_state(db)
    return [_feed(feed, counted[feed.pk]) for feed in Feed.objects.using(db).select_related("server").order_by("name")]


def feed_details(feed: Feed, db: str) -> dict[str, Any]:
    """One feed with its settings and its server."""
    server, now = feed.server, timezone.now()
    feeds = list(feeds_with_pace().using(db).filter(server=feed.server_id).order_by("name"))
    outlook, flow = outlooks(feeds, now)[feed.pk], recent_flow(feeds, now, db)
    waiting = sum(one.waiting for one in feeds if not one.paused_at)
    return _feed(feed, objects_by_state(db)[feed.pk]) | {
        "header_prefix": feed.header_prefix,
        "strict_ids": feed.strict_ids,
        "sample_id": feed.sample_id_rule,
        "endings": feed.endings,
        "rna_as_dna": feed.rna_as_dna,
        "plus_in_ids": feed.plus_in_ids,
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
        "store_note": meaning(feed.store_url),
        "outlook": outlook.text,
        "rate_per_second": outlook.rate and round(outlook.rate, 3),
        "done_earliest": _iso(outlook.earliest),
        "done_latest": _iso(outlook.latest),
        "bottleneck": flow.sentence(waiting=waiting) if flow else "",
        "left_out": feed.left_out or [],
        "last_names": [asdict(preview) for preview in preview_names(feed, last_names(feed, db))],
    }


def list_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The lines of `feed list`."""
    return text_table(
        FEED_COLUMNS,
        [
            (
                row["name"],
                FeedState(row["status"]).label,
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
    plain = {key: value for key, value in details.items() if not isinstance(value, list)}
    plain["status"] = FeedState(plain["status"]).label
    return [
        *(f"{key.replace('_', ' '):<20} {'-' if value in (None, '') else value}" for key, value in plain.items()),
        *left_out_lines(details["left_out"], details["name"]),
        *preview_lines([NamePreview(**preview) for preview in details["last_names"]]),
    ]


def left_out_lines(left_out: list[dict[str, Any]], feed_name: str) -> list[str]:
    """What a scan left out, by ending, and how to include it."""
    if not left_out:
        return []
    way_out = f"manage.py feed set {feed_name} --endings LIST" if feed_name else "--endings LIST"
    return [
        f"Left out by the endings (include them with {way_out}):",
        *(f"  {kind['ending']:<18} {kind['number']:>9,}  such as {printable(kind['example'])}" for kind in left_out),
    ]


def preview_lines(previews: list[NamePreview]) -> list[str]:
    """Names with the sample id that the feed's rule makes of each, and what the other rule would make of it."""
    lines = []
    for preview in previews:
        other = next((id_ for id_ in (preview.up_to_first_dot, preview.without_ending) if id_ != preview.id), "")
        note = f" (by the other rule: {printable(other)})" if other else ""
        result = f"sample {printable(preview.id)}{note}" if preview.loaded else "left out by its ending"
        lines.append(f"  {printable(preview.name)}: {result}")
    return ["Names and their sample ids:", *lines] if lines else []


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
