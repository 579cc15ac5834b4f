"""Where what should not be is shown, and can be put right: the page of ours that a concern leads to."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser, User
from django.urls import NoReverseMatch, reverse

from core.concerns import Concern

FEED = {"feed_paused", "feed_silent", "waiting_too_long", "files_rejected", "samples_lost"}
SERVER = {"server_away", "loader_vanished", "lease_taken_over"}
BATCH = {
    "upload_cut_off": "",
    "records_uncertain": "?upload=uncertain#records",
    "check_failing": "",
    "no_progress": "",
    "batch_errors": "?ingest=failure#records",
    "log_unread": "",
}
"""Kinds of concerns (docs/loader.md, docs/batches.md), and what of the batch's page is meant."""


class ConcernLink(NamedTuple):
    """A link, and who may follow it."""

    label: str
    url: str
    permission: str


def concern_link(concern: Concern, user: User | AnonymousUser) -> ConcernLink | None:
    """The page of ours, else the rows in the admin for who may go there; None where there is neither."""
    try:
        found = _own(concern) or _admin(concern, user)
    except NoReverseMatch:
        return None
    return found if found and user.has_perm(found.permission) else None


def _own(concern: Concern) -> ConcernLink | None:
    kind, about = concern.kind, concern.about
    if kind in BATCH and about:
        return ConcernLink(
            f"Open batch {about}", reverse("batches:batch", args=[about]) + BATCH[kind], "batches.view_batch"
        )
    if kind in FEED and about:
        return ConcernLink(f"Open feed {about}", reverse("loader:feed", args=[about]), "loader.view_feed")
    if kind in SERVER:
        return ConcernLink("See the feeds", reverse("loader:feeds"), "loader.view_feed")
    attempts = {
        "attempts_open": {"outcome": "open"},
        "wrong_statuses": {"wrong": "1", "when": "day", "server": about},
    }
    if kind in attempts:
        url = f"{reverse('loader:attempts')}?{urlencode(attempts[kind])}"
        return ConcernLink("Show these attempts", url, "loader.view_loadattempt")
    return None


def _admin(concern: Concern, user: User | AnonymousUser) -> ConcernLink | None:
    if not (concern.link and user.is_staff):
        return None
    return ConcernLink("Show them in the admin", f"{reverse(concern.link)}?{concern.query}", concern.permission)
