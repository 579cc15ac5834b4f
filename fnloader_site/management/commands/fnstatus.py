"""`manage.py fnstatus`: what needs attention, for cron and monitors (reference/object-store-loader.txt)."""

from __future__ import annotations

import json
from typing import Any

from django.utils import timezone

from core.commands import CommandParser, FnloaderCommand, database
from core.formatting import format_time

CONCERNS_FOUND = 10


class Command(FnloaderCommand):
    """Prints the concerns of `fnloader_site.monitoring.concerns`."""

    help = "Lists what needs attention: since when, why, and what to do."

    def add_arguments(self, parser: CommandParser) -> None:
        """Few: a monitor runs it every minute."""
        parser.epilog = "exit status: 0 all clear; 10 something needs attention; 1 check failed; 2 invalid argument"
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.add_argument(
            "--alarm",
            action="store_true",
            help="send changes by mail, webhook and ping, as the background job does",
        )
        parser.add_argument("--database", type=database, default="default", metavar="ALIAS", help="another database")

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Checks once."""
        from core.concerns import worst_first
        from fnloader_site.monitoring.concerns import all_concerns

        concerns = worst_first(all_concerns(options["database"]))
        if options["alarm"]:
            from core.alarms.notifications import deliver, record_changes

            if options["database"] != "default":
                self.usage("--alarm needs the default database, which records what was sent")
            record_changes(concerns)
            for channel, result in deliver().items():
                self.stderr.write(f"{channel}: {result}")
        if options["json"]:
            documents = [
                {
                    "kind": concern.kind,
                    "level": concern.level.code,
                    "about": concern.about,
                    "what": concern.what,
                    "why": concern.why,
                    "way_out": f"{concern.way_out} {concern.command}".strip(),
                    "since": concern.since.isoformat() if concern.since else None,
                }
                for concern in concerns
            ]
            self.stdout.document.write(
                json.dumps({"asked_at": timezone.now().isoformat(), "concerns": documents}, indent=2)
            )
            return CONCERNS_FOUND if concerns else 0
        for concern in concerns:
            since = f" since {format_time(concern.since)}" if concern.since else ""
            self.stdout.write(f"{concern.level.label.upper()}: {concern.what}{since}")
            for line in (concern.why, f"{concern.way_out} {concern.command}".strip()):
                if line:
                    self.stdout.write(f"    {line}")
        if not concerns:
            self.stdout.write("All clear")
        return CONCERNS_FOUND if concerns else 0
