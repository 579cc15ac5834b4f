"""`manage.py qcluster`: the background jobs, by django-q2's cluster."""

from __future__ import annotations

from typing import Any

from django.db import connections

from core.commands import CommandError, CommandParser, FnloaderCommand
from core.secrets import hide_secrets


class Command(FnloaderCommand):
    """Replaces django-q2's command of this name."""

    help = (
        "Runs the background jobs until Ctrl-C or SIGTERM: loading of scheduled feeds, checks of uploaded batches, alarms, "
        "and all else in the list of schedules in the admin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """None: all options are settings (docs/settings.md)."""
        parser.epilog = "exit status: 0 stopped; 1 can't run: invalid setting, database not migrated, no broker"

    def run(self, **options: Any) -> int:  # noqa: ANN401, ARG002 - Django's options
        """Runs the cluster until it is stopped."""
        from django_q.brokers import get_broker

        from core.jobs.cluster import JobCluster

        self.require_migrations()
        try:
            get_broker().ping()
        except Exception as error:
            # Each broker has its own errors.
            raise CommandError(f"Broker unavailable ({hide_secrets(str(error))}). Check REDIS_URL.") from error
        # Children must not share a connection.
        connections.close_all()
        status = JobCluster().run()
        if status:
            raise CommandError("The cluster keeps ending. See the errors above.")
        return 0
