"""The background jobs: django-q2's cluster, run as our other daemons are."""

from __future__ import annotations

from typing import Any

from django.db import connections

from core.commands import CommandError, CommandParser, FnloaderCommand


class Command(FnloaderCommand):
    """Takes the place of django-q2's command of this name."""

    help = (
        "Runs the background jobs until told to stop (Ctrl-C or SIGTERM): loading of scheduled feeds, checks of uploaded "
        "batches, alarms, and what the list of schedules in the admin says."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """None: what there is to say is a setting (docs/settings.md)."""
        parser.epilog = "exit status: 0 told to stop; 1 it can't run: a wrong setting, no tables, no broker"

    def run(self, **options: Any) -> int:  # noqa: ANN401, ARG002 - Django's options
        """Until told to stop."""
        from django_q.brokers import get_broker
        from django_q.models import Schedule

        from core.jobs.cluster import JobCluster

        Schedule.objects.exists()
        try:
            get_broker().ping()
        except Exception as error:
            # Each broker has errors of its own.
            raise CommandError(f"The jobs' broker does not answer ({error}); check REDIS_URL.") from error
        # A connection must not be shared with children.
        connections.close_all()
        status = JobCluster().run()
        if status:
            raise CommandError("The cluster could not be kept running: the lines above say why.")
        return 0
