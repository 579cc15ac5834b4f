"""The overview."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from fnloader_site.overview.page import read_overview

LOADER_PERMISSION = "loader.view_loadattempt"
BATCHES_PERMISSION = "batches.view_batch"


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """What was uploaded, what was loaded, and what needs attention: the sections that this user may see."""
    loader, batches = request.user.has_perm(LOADER_PERMISSION), request.user.has_perm(BATCHES_PERMISSION)
    if not (loader or batches):
        raise PermissionDenied(
            f"The overview needs the permission {LOADER_PERMISSION} (for the loader) or {BATCHES_PERMISSION} (for batches)."
        )
    page = read_overview(timezone.now(), loader=loader, batches=batches)
    # static/refresh.js requests only what changes.
    template = "overview/live.html" if "live" in request.GET else "overview.html"
    response = render(request, template, {"page": page, "zone": timezone.get_current_timezone_name()})
    response["Cache-Control"] = "no-store"
    return response
