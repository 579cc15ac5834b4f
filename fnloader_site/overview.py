"""The overview: is anything wrong, what runs now, since when. Each half is built by its own module, for who may see it.

Everything here reads; nothing is changed by looking. Lists are short, and no table that grows is counted but by index.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnloader_site.overview_batches import BatchesHalf
    from fnloader_site.overview_loader import LoaderHalf

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


@dataclass(frozen=True)
class Overview:
    """What one user may see; a half that is None is not for them."""

    asked_at: datetime
    loader: LoaderHalf | None
    batches: BatchesHalf | None
    concerns: list[Concern] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """All concerns in one line."""
        wrong = sum(concern.level is Level.BAD for concern in self.concerns)
        parts = (
            (f"{many(wrong, 'thing')} wrong", wrong),
            (f"{len(self.concerns) - wrong} to look at", len(self.concerns) - wrong),
        )
        return ", ".join(text for text, number in parts if number) or "Nothing needs a person"


def overview(asked_at: datetime, *, loader: bool, batches: bool) -> Overview:
    """Reads the halves that are asked for, worst concerns first."""
    from fnloader_site.overview_batches import batches_half
    from fnloader_site.overview_loader import loader_half

    first = loader_half() if loader else None
    second = batches_half() if batches else None
    halves = [half for half in (first, second) if half]
    return Overview(
        asked_at,
        first,
        second,
        worst_first(concern for half in halves for concern in half.concerns),
        [running for half in halves for running in half.running],
    )


def worst_first(concerns: Iterable[Concern]) -> list[Concern]:
    """What is bad before what is only worth a look; otherwise in the order given."""
    return sorted(concerns, key=lambda concern: concern.level is not Level.BAD)


def many(number: int, noun: str, nouns: str = "") -> str:
    """`1 file`, `1,200 files`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
