"""The overview, and the word that says the process lives."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from fnloader_site.health import not_ready
from fnloader_site.overview_page import overview as read

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


@login_not_required
def healthz(_request: HttpRequest) -> HttpResponse:
    """One word for a monitor: this process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """One word for a balancer: whether database and broker answer, or which of them does not."""
    missing = not_ready()
    return HttpResponse(f"{missing or 'ready'}\n", content_type="text/plain", status=503 if missing else 200)


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus on this machine, or with METRICS_TOKEN as its bearer token."""
    if not (_from_here(request) or _has_token(request)):
        return HttpResponse("METRICS_TOKEN is needed from another machine.\n", content_type="text/plain", status=403)
    from fnloader_site.metrics import exposition

    return HttpResponse(exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _from_here(request: HttpRequest) -> bool:
    # What a proxy on this machine passes on comes from elsewhere.
    forwarded = {
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_PROTO",
        "HTTP_X_FORWARDED_HOST",
        "HTTP_FORWARDED",
        "HTTP_VIA",
    }
    address = request.META.get("REMOTE_ADDR") or "127.0.0.1"  # empty: through a socket of this machine
    return address in ("127.0.0.1", "::1") and not forwarded & set(request.META)


def _has_token(request: HttpRequest) -> bool:
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    given = request.headers.get("Authorization", "")
    return bool(settings.METRICS_TOKEN) and secrets.compare_digest(given.encode(), wanted.encode())
