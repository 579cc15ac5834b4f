"""A viewer's preferences, kept in cookies: the time zone of the browser, and the theme."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from urllib.parse import unquote
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from fnloader_site.context_processors import THEME_COOKIE, THEMES

ZONE_COOKIE = "zone"
THEME_COOKIE_AGE = 365 * 24 * 3600
_zones = cache(available_timezones)


def timezone_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: times are shown and read in the viewer's zone, or in TIME_ZONE if it is unknown."""

    def middleware(request: HttpRequest) -> HttpResponse:
        name = unquote(request.COOKIES.get(ZONE_COOKIE, ""))
        if name not in _zones():
            return get_response(request)
        with timezone.override(ZoneInfo(name)):
            return get_response(request)

    return middleware


@login_not_required
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Sets or deletes the theme, and redirects back."""
    choice, next_url = request.POST.get("theme", ""), request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(next_url, {request.get_host()}, require_https=request.is_secure()):
        next_url = reverse("overview")
    response = HttpResponseRedirect(next_url)
    if choice in THEMES:
        response.set_cookie(
            THEME_COOKIE, choice, max_age=THEME_COOKIE_AGE, samesite="Lax", secure=bool(settings.SESSION_COOKIE_SECURE)
        )
    else:
        response.delete_cookie(THEME_COOKIE)
    return response
