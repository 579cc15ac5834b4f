"""For monitors: liveness, readiness and metrics (docs/monitoring.md)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from fnloader_site.monitoring.health import failing_service

_LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1", ""})
"""Addresses of this machine; empty: a Unix socket."""
_OF_PROMETHEUS = frozenset({"HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS"})
_OF_PROXIES = re.compile(r"HTTP_(X_.*|.*FORWARDED.*|VIA|.*CLIENT_IP|.*CONNECTING_IP|CF_.*|CDN_LOOP|FORWARD.*)")
"""Headers that proxies add: `X-Forwarded-For`, `X-Real-IP`, `Forwarded`, `Via`, `True-Client-IP`, `CF-Connecting-IP`."""


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
    if not (has_token or _is_local(request)):
        text = "Permission denied: requests from another machine, or through a proxy, need METRICS_TOKEN.\n"
        return HttpResponse(text, content_type="text/plain", status=403)
    from fnloader_site.monitoring.metrics import exposition

    return HttpResponse(exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _is_local(request: HttpRequest) -> bool:
    """Whether it was made on this machine, and shows no sign of a proxy there, which forwards requests from elsewhere."""
    by_proxy = any(_OF_PROXIES.fullmatch(name) for name in request.META.keys() - _OF_PROMETHEUS)
    # nginx adds no header unless it is told to, and speaks HTTP/1.0 to the site; monitors speak 1.1.
    by_proxy = by_proxy or request.META.get("SERVER_PROTOCOL") == "HTTP/1.0"
    return request.META.get("REMOTE_ADDR", "") in _LOOPBACK and not by_proxy
