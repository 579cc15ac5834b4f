"""What monitors ask: is it alive, is it ready, and the metrics (docs/monitoring.md)."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from fnloader_site.monitoring.health import failing_service


@login_not_required
def healthz(_request: HttpRequest) -> HttpResponse:
    """One word for a monitor: this process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """One word for a balancer: whether database and broker answer, or which of them does not."""
    missing = failing_service()
    return HttpResponse(f"{missing or 'ready'}\n", content_type="text/plain", status=503 if missing else 200)


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus on this machine, or with METRICS_TOKEN as its bearer token."""
    if not (_from_here(request) or _has_token(request)):
        return HttpResponse("METRICS_TOKEN is needed from another machine.\n", content_type="text/plain", status=403)
    from fnloader_site.monitoring.metrics import exposition

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
