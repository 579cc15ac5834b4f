"""Django's admin, whose pages are put together when they are first needed and not at the start of every command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig
from django.core import checks


class LateUnfoldConfig(AppConfig):
    """The theme's templates and files; its own configuration would load the whole admin."""

    default = False
    name = "unfold"


class LateAdminConfig(SimpleAdminConfig):
    """Leaves each app's admin.py to `fnloader_site.urls`: that saves a command a tenth of its start."""

    default = False
    default_site = "fnloader_site.adminsite.Site"

    def ready(self) -> None:
        """Registers the admin's own checks so that they find what they are to check."""
        checks.register(_check, checks.Tags.admin)


def _check(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:  # noqa: ANN401 - Django's signature
    from django.contrib.admin import autodiscover
    from django.contrib.admin.checks import check_admin_app, check_dependencies

    autodiscover()
    return [*check_dependencies(**kwargs), *check_admin_app(app_configs, **kwargs)]
