"""The site as an app of Django, so that its checks and the overview's templates are found."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    """Registers the system checks."""

    name = "fnloader_site"
    verbose_name = "fnloader"

    def ready(self) -> None:
        """Loads the checks."""
        from fnloader_site import checks  # noqa: F401 - registers them
