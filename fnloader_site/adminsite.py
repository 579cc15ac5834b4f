"""The admin in its theme (django-unfold): our login, and a policy that lets the theme's scripts run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from csp.decorators import csp_replace
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import reverse
from django.utils.decorators import method_decorator
from unfold.sites import UnfoldAdminSite


class Site(UnfoldAdminSite):
    """Django's admin site."""

    def admin_view(self, view: Callable[..., HttpResponse], cacheable: bool = False) -> Callable[..., HttpResponse]:  # noqa: FBT001, FBT002
        """With the admin's own Content-Security-Policy."""
        inner: Callable[..., HttpResponse] = super().admin_view(view, cacheable)
        policy: dict[str, Any] = settings.ADMIN_CONTENT_SECURITY_POLICY
        return csp_replace(policy)(inner)  # type: ignore[return-value]

    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # noqa: ARG002
        """There is one login, ours, which counts wrong passwords."""
        back = request.GET.get("next") or request.get_full_path()
        return HttpResponseRedirect(f"{reverse('login')}?{urlencode({'next': back})}")


def icon(_request: HttpRequest) -> str:
    """Our picture."""
    return static("icon.svg")
