"""The site as an app of Django, so that its checks, models and the overview's templates are found."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SiteConfig(AppConfig):
    """Registers the system checks, and the schedules with `migrate`."""

    name = "fnloader_site"
    verbose_name = "Jobs and alarms"

    def ready(self) -> None:
        """Loads the checks."""
        from fnloader_site import checks  # noqa: F401 - registers them

        post_migrate.connect(_mend_schedules, dispatch_uid="fnloader.schedules")


def _mend_schedules(sender: AppConfig, using: str, **_: Any) -> None:  # noqa: ANN401 - Django's signature
    # Sent once for each app; of django_q's the tables are there.
    if sender.name == "django_q":
        from fnloader_site.schedules import mend

        mend(using)
