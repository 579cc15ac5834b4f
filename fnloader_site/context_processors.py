"""Context of every page: navigation, theme and time zone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

THEMES = ("light", "dark")
THEME_COOKIE = "theme"


@dataclass(frozen=True)
class NavigationEntry:
    """A link of the navigation."""

    label: str
    url_name: str
    icon: str
    """A name from lucide.dev."""
    permission: str = ""
    """Needed to see it; empty: none."""
    subpages: tuple[str, ...] = ()
    """URL names of pages below it."""


BATCH_PAGES = tuple(
    f"batches:{name}" for name in ("batch", "record", "summary", "summaries", "rates", "advice", "replay")
)
ENTRIES = (
    NavigationEntry("Overview", "overview", "layout-dashboard"),
    NavigationEntry("Batches", "batches:batches", "package", "batches.view_batch", BATCH_PAGES),
    NavigationEntry(
        "Feeds", "loader:feeds", "rss", "loader.view_feed", ("loader:feed", "loader:twins", "loader:compare")
    ),
    NavigationEntry("Files", "loader:files", "files", "loader.view_bucketobject", ("loader:file",)),
    NavigationEntry("Load attempts", "loader:attempts", "upload", "loader.view_loadattempt", ("loader:attempt",)),
    NavigationEntry("Check a list", "samples", "list-checks", "loader.view_bucketobject"),
    NavigationEntry("Batch loads", "loader:loads", "layers", "loader.view_batchload"),
)


def navigation(request: HttpRequest) -> dict[str, Any]:
    """A context processor: what base.html needs."""
    user, theme = getattr(request, "user", None), request.COOKIES.get(THEME_COOKIE, "")
    current = request.resolver_match.view_name if request.resolver_match else ""
    entries = [
        {
            "label": entry.label,
            "icon": entry.icon,
            "url": reverse(entry.url_name),
            "current": current == entry.url_name or current in entry.subpages,
        }
        for entry in ENTRIES
        if user and user.is_authenticated and (not entry.permission or user.has_perm(entry.permission))
    ]
    return {
        "navigation": entries,
        "theme": theme if theme in THEMES else "",
        "zone": timezone.get_current_timezone_name(),
    }
