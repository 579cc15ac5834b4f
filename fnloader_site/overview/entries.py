"""What the overview lists: what is running now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

SHOWN = 10
"""Rows of each list of what happened last."""


@dataclass(frozen=True)
class Running:
    """Something that is under way now."""

    what: str
    who: str
    since: datetime | None
    said: str = "since"
    """What `since` is."""
    done: int | None = None
    of: int | None = None
    link: str = ""
    """The page of it."""
    until: str = ""
    """When it is expected to end."""
