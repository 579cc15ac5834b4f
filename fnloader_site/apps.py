"""The project as an app, so that Django finds its checks and commands."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ProjectConfig(AppConfig):
    """Registers the system checks, and the schedules with `migrate`."""

    name = "fnloader_site"
    label = "project"

    def ready(self) -> None:
        """Loads the checks."""
        from fnloader_site import checks  # noqa: F401 - registers them

        post_migrate.connect(_sync_schedules, dispatch_uid="fnloader.schedules")


def _sync_schedules(sender: AppConfig, using: str, **_: Any) -> None:  # noqa: ANN401 - Django's signature
    # Sent for each app; with django_q's its tables exist.
    if sender.name == "django_q":
        from fnloader_site.schedules import sync_schedules

        sync_schedules(using)
