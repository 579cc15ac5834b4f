"""A concern: something that should not be, and the way out. Each app reports its own with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


def worst_first(concerns: Iterable[Concern]) -> list[Concern]:
    """What is bad before what is only worth a look; otherwise in the order given."""
    return sorted(concerns, key=lambda concern: concern.level is not Level.BAD)
