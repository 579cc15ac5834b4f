"""The overview, and the word that says the process lives."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from fnloader_site.overview.page import overview as read

SEES_LOADER = "loader.view_loadattempt"
SEES_BATCHES = "batches.view_batch"


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """What was sent, what was loaded, and whether something needs a person: the half that this user may see."""
    loader, batches = request.user.has_perm(SEES_LOADER), request.user.has_perm(SEES_BATCHES)
    if not (loader or batches):
        raise PermissionDenied(
            f"To see the overview, a user needs the permission {SEES_LOADER} (the loader's half) or {SEES_BATCHES} "
            "(the batches' half)."
        )
    page = read(timezone.now(), loader=loader, batches=batches)
    # static/refresh.js asks for what changes, and keeps the reader's place.
    name = "overview/live.html" if "live" in request.GET else "overview.html"
    response = render(request, name, {"page": page, "zone": timezone.get_current_timezone_name()})
    response["Cache-Control"] = "no-store"
    return response
