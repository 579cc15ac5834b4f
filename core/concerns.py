"""Concerns: what needs attention, and what to do about it. Each app reports its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.contrib.auth.models import AnonymousUser, User
from django.urls import NoReverseMatch, reverse


class Level(StrEnum):
    """How bad a concern is; the value is its colour on pages."""

    ERROR = "red"
    WARNING = "orange"

    @property
    def label(self) -> str:
        """As pages, mails and `fnstatus` show it."""
        return self.name.lower()

    @property
    def code(self) -> str:
        """As `fnstatus --json`, webhooks and the table of alarms have it."""
        return "wrong" if self is Level.ERROR else "look"


@dataclass(frozen=True)
class PageLink:
    """A page of the site, and the permission to open it."""

    label: str
    url_name: str
    permission: str
    args: tuple[object, ...] = ()
    query: str = ""
    """What follows the path: a query with `?`, a fragment with `#`."""
    staff_only: bool = False
    """A page of the admin."""

    def url_for(self, user: User | AnonymousUser) -> str | None:
        """Its URL; None for a user who may not open it, and for a name that no URL can hold."""
        if not user.has_perm(self.permission) or (self.staff_only and not user.is_staff):
            return None
        try:
            return reverse(self.url_name, args=self.args) + self.query
        except NoReverseMatch:
            return None


@dataclass(frozen=True)
class Concern:
    """Something that needs attention, and what to do about it."""

    level: Level
    what: str
    why: str = ""
    way_out: str = ""
    command: str = ""
    since: datetime | None = None
    link: PageLink | None = None
    """The page that shows it and has the buttons to fix it."""
    kind: str = ""
    """An identifier for monitors (docs/loader.md, fnstatus)."""
    about: str = ""
    """The name of the feed, server or batch."""


def worst_first(concerns: Iterable[Concern]) -> list[Concern]:
    """Errors before warnings, otherwise in the order given."""
    return sorted(concerns, key=lambda concern: concern.level is not Level.ERROR)
