"""A concern: something that should not be, and the way out. Each app reports its own with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.contrib.auth.models import AnonymousUser, User
from django.urls import NoReverseMatch, reverse


class Level(StrEnum):
    """How bad something is; the value is its colour on the page."""

    BAD = "red"
    WARN = "orange"


@dataclass(frozen=True)
class PageLink:
    """A page of the site, and who may open it."""

    label: str
    url_name: str
    permission: str
    args: tuple[object, ...] = ()
    query: str = ""
    """What follows the path: a query with its `?`, a fragment with its `#`."""
    staff_only: bool = False
    """It is a page of the admin."""

    def url_for(self, user: User | AnonymousUser) -> str | None:
        """Its URL; None for who may not open it, and for a name that no URL can hold."""
        if not user.has_perm(self.permission) or (self.staff_only and not user.is_staff):
            return None
        try:
            return reverse(self.url_name, args=self.args) + self.query
        except NoReverseMatch:
            return None


@dataclass(frozen=True)
class Concern:
    """Something that should not be, and the way out."""

    level: Level
    what: str
    why: str = ""
    way_out: str = ""
    command: str = ""
    since: datetime | None = None
    link: PageLink | None = None
    """Where it is shown, and can be put right."""
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
