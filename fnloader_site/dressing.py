"""The theme's dress for the admin pages of others: users, groups, the queue. To be used when all admin pages are registered."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.admin import UserAdmin
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm


def dress(site: AdminSite) -> None:
    """Registers what others registered once more, with the theme's class before theirs."""
    for model, registered in list(site._registry.items()):  # noqa: SLF001 - there is no other list of them
        if isinstance(registered, ModelAdmin):
            continue
        theirs = type(registered)
        more: dict[str, Any] = {"__module__": __name__}
        if issubclass(theirs, UserAdmin):
            more |= {
                "form": UserChangeForm,
                "add_form": UserCreationForm,
                "change_password_form": AdminPasswordChangeForm,
            }
        site.unregister(model)
        site.register(model, type(theirs.__name__, (theirs, ModelAdmin), more))
