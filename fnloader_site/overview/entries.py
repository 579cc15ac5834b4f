"""What the overview lists: what is running now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

LIST_LENGTH = 10
"""Rows of each list of the latest."""


@dataclass(frozen=True)
class RunningTask:
    """An upload, an ingest or a loader that is running."""

    title: str
    details: str
    time: datetime | None
    time_label: str = "since"
    """What `time` is."""
    done: int | None = None
    total: int | None = None
    url: str = ""
    """Its page."""
    forecast: str = ""
    """When it should end."""
