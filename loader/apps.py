"""The app's name and label."""

from django.apps import AppConfig


class LoaderConfig(AppConfig):
    """Feeds, servers and loads."""

    name = "loader"
