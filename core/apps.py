"""The app config of core, and one of Django's admin that loads its pages only when they are first needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig
from django.core import checks


class CoreConfig(AppConfig):
    """Jobs and alarms. The label is the one of its tables, permissions and recorded migrations."""

    name = "core"
    label = "fnloader_site"
    verbose_name = "Jobs and alarms"

    def ready(self) -> None:
        """Registers what fields can be looked up by, what may be queued, what every connection stores, and errors of its end."""
        from django.db.backends.signals import connection_created
        from django.db.backends.utils import CursorWrapper

        from core import lookups  # noqa: F401
        from core.jobs import registry  # noqa: F401
        from core.stored_text import clean_connection

        connection_created.connect(clean_connection)
        # Django does not turn the driver's error into its own when a server-side cursor is closed (`QuerySet.iterator`):
        # no `except DatabaseError` would see that the connection was lost just then.
        CursorWrapper.WRAP_ERROR_ATTRS |= {"close"}


class LazyUnfoldConfig(AppConfig):
    """The theme's templates and files; its own configuration would load the whole admin."""

    default = False
    name = "unfold"


class LazyAdminConfig(SimpleAdminConfig):
    """Leaves each app's admin.py to `fnloader_site.urls`: that saves a command a tenth of its start."""

    default = False
    default_site = "core.adminsite.ThemedAdminSite"

    def ready(self) -> None:
        """Registers the admin's own checks, which load its pages first."""

        @checks.register(checks.Tags.admin)
        def check_admin(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:  # noqa: ANN401
            from django.contrib.admin import autodiscover
            from django.contrib.admin.checks import check_admin_app, check_dependencies

            autodiscover()
            return [*check_dependencies(**kwargs), *check_admin_app(app_configs, **kwargs)]
