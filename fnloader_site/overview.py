"""What the overview, its two halves and the monitors share: concerns, what runs, and how they are said.

Imports neither app, so that each may say its concerns with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

SHOWN = 10
"""Rows of each list of what happened last."""


class Level(StrEnum):
    """How bad something is; the value is its colour on the page."""

    BAD = "red"
    WARN = "orange"


@dataclass(frozen=True)
class Concern:
    """Something that should not be, and the way out."""

    level: Level
    what: str
    why: str = ""
    way_out: str = ""
    command: str = ""
    since: datetime | None = None
    link: str = ""
    """Where more of it is shown in the admin, as a name of a URL; empty: nowhere."""
    query: str = ""
    permission: str = ""
    """Who may follow the link, besides being staff."""
    kind: str = ""
    """One word for monitors, the same for the same matter (docs/loader.md, fnstatus)."""
    about: str = ""
    """The feed or server it is about, by its name."""

    @property
    def word(self) -> str:
        """The level in a word, so that the colour is not all that says it."""
        return "wrong" if self.level is Level.BAD else "look"


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


def worst_first(concerns: Iterable[Concern]) -> list[Concern]:
    """What is bad before what is only worth a look; otherwise in the order given."""
    return sorted(concerns, key=lambda concern: concern.level is not Level.BAD)


def many(number: int, noun: str, nouns: str = "") -> str:
    """`1 file`, `1,200 files`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
