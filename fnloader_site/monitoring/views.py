"""For monitors: liveness, readiness and metrics (docs/monitoring.md)."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from fnloader_site.monitoring.health import failing_service

_FORWARDED = frozenset(
    {"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED", "HTTP_VIA"}
)


def monitoring_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware before all others: these URLs answer whatever `Host` a balancer or Prometheus sends, without a redirect."""
    views = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}

    def middleware(request: HttpRequest) -> HttpResponse:
        view = views.get(request.path_info)
        return view(request) if view else get_response(request)

    return middleware


@login_not_required
def healthz(_request: HttpRequest) -> HttpResponse:
    """`ok`: this process responds."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """For a load balancer: `ready`, or 503 and what is unavailable."""
    failing = failing_service()
    return HttpResponse(f"{failing or 'ready'}\n", content_type="text/plain", status=503 if failing else 200)


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus on this machine, or with METRICS_TOKEN as its bearer token."""
    expected = f"Bearer {settings.METRICS_TOKEN}"
    authorization = request.headers.get("Authorization", "")
    has_token = settings.METRICS_TOKEN and secrets.compare_digest(authorization.encode(), expected.encode())
    # A proxy on this machine forwards requests from elsewhere.
    address = request.META.get("REMOTE_ADDR") or "127.0.0.1"  # empty: a Unix socket
    is_local = address in ("127.0.0.1", "::1", "::ffff:127.0.0.1") and not _FORWARDED & set(request.META)
    if not (has_token or is_local):
        text = "Permission denied: requests from another machine need METRICS_TOKEN.\n"
        return HttpResponse(text, content_type="text/plain", status=403)
    from fnloader_site.monitoring.metrics import exposition

    return HttpResponse(exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")
