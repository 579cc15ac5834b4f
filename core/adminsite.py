"""The admin with its theme (django-unfold): our login, and a policy that lets the theme's scripts run."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any
from urllib.parse import urlencode

from csp.decorators import csp_replace
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import reverse
from django.utils.decorators import method_decorator
from unfold.sites import UnfoldAdminSite

from core.input import refuse_nul


class ThemedAdminSite(UnfoldAdminSite):
    """Django's admin site with the theme."""

    def admin_view(self, view: Callable[..., HttpResponse], cacheable: bool = False) -> Callable[..., HttpResponse]:  # noqa: FBT001, FBT002
        """Adds the admin's own Content-Security-Policy, and refuses NUL in filters and forms, which PostgreSQL can't look up."""

        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401 - of any URL
            for fields in (request.GET, request.POST):
                refuse_nul(text for name, values in fields.lists() for text in (name, *values))
            return view(request, *args, **kwargs)

        wrapped: Callable[..., HttpResponse] = super().admin_view(update_wrapper(checked, view), cacheable)
        policy: dict[str, Any] = settings.ADMIN_CONTENT_SECURITY_POLICY
        return csp_replace(policy)(wrapped)  # type: ignore[return-value]

    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # noqa: ARG002
        """Redirects to our login, which counts wrong passwords."""
        next_url = request.GET.get("next") or request.get_full_path()
        return HttpResponseRedirect(f"{reverse('login')}?{urlencode({'next': next_url})}")


def icon(_request: HttpRequest) -> str:
    """The logo."""
    return static("icon.svg")


def apply_theme(site: admin.AdminSite) -> None:
    """Registers the models of other apps again, with the theme's class added."""
    # Importing these registers models with the site that this module defines.
    from django.contrib.auth.admin import UserAdmin
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

    from core.modeladmin import AnyAdmin

    for model, registered in list(site._registry.items()):  # noqa: SLF001 - Django has no public list of them
        if isinstance(registered, AnyAdmin):
            continue
        original = type(registered)
        attributes: dict[str, Any] = {"__module__": __name__}
        if issubclass(original, UserAdmin):
            attributes |= {
                "form": UserChangeForm,
                "add_form": UserCreationForm,
                "change_password_form": AdminPasswordChangeForm,
            }
        site.unregister(model)
        site.register(model, type(original.__name__, (original, AnyAdmin), attributes))
