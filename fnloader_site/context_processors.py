"""What stands around every page: the navigation, and how its reader wants it (theme, time zone)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

THEMES = ("light", "dark")
THEME_COOKIE = "theme"


@dataclass(frozen=True)
class Entry:
    """One place to go."""

    label: str
    view: str
    """Name of its URL."""
    icon: str
    """A name from lucide.dev."""
    permission: str = ""
    """Who may go there; empty: whoever is logged in."""
    within: tuple[str, ...] = ()
    """Names of URLs of pages that belong to it."""


ENTRIES = (
    Entry("Overview", "overview", "layout-dashboard"),
    Entry("Batches", "batches:batches", "package", "batches.view_batch", ("batches:batch",)),
    Entry("Feeds", "loader:feeds", "rss", "loader.view_feed", ("loader:feed",)),
    Entry("Files", "loader:files", "files", "loader.view_bucketobject", ("loader:file",)),
    Entry("Load attempts", "loader:attempts", "upload", "loader.view_loadattempt", ("loader:attempt",)),
    Entry("Batch loads", "loader:loads", "layers", "loader.view_batchload"),
)


def navigation(request: HttpRequest) -> dict[str, Any]:
    """A context processor: what base.html needs."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return {
        "navigation": _entries(request),
        "theme": theme if theme in THEMES else "",
        "zone": timezone.get_current_timezone_name(),
    }


def _entries(request: HttpRequest) -> list[dict[str, Any]]:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return []
    here = request.resolver_match.view_name if request.resolver_match else ""
    return [
        {
            "label": entry.label,
            "icon": entry.icon,
            "url": reverse(entry.view),
            "current": here == entry.view or here in entry.within,
        }
        for entry in ENTRIES
        if not entry.permission or user.has_perm(entry.permission)
    ]
