"""`manage.py fnstatus`: what should not be, for cron and monitors (reference/object-store-loader.txt)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from core.commands import CommandParser, FnloaderCommand, database

if TYPE_CHECKING:
    from core.concerns import Concern

SOME = 10


class Command(FnloaderCommand):
    """Prints what `fnloader_site.monitoring.concerns` finds."""

    help = "Says what should not be: since when, why, and what to do about it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Few: a monitor calls it every minute."""
        parser.epilog = "exit status: 0 nothing; 10 something should not be; 1 it could not be found out; 2 wrong usage"
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.add_argument(
            "--alarm",
            action="store_true",
            help="send what changed by mail, webhook and ping, as the background job does",
        )
        parser.add_argument("--database", type=database, default="default", metavar="ALIAS", help="another database")

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Looks once."""
        from core.concerns import worst_first
        from fnloader_site.monitoring.concerns import all_concerns

        concerns = worst_first(all_concerns(options["database"]))
        if options["alarm"]:
            self._alarm(concerns, options["database"])
        if options["json"]:
            shown = {"asked_at": timezone.now().isoformat(), "concerns": [_as_json(concern) for concern in concerns]}
            self.stdout.write(json.dumps(shown, indent=2))
        else:
            for concern in concerns:
                self._say(concern)
            if not concerns:
                self.stdout.write("Nothing needs a person.")
        return SOME if concerns else 0

    def _alarm(self, concerns: list[Concern], db: str) -> None:
        from core.alarms.notifications import deliver, record_changes

        if db != "default":
            self.usage("--alarm is for the default database: it remembers what was sent.")
        record_changes(concerns)
        for channel, what in deliver().items():
            self.stderr.write(f"{channel}: {what}")

    def _say(self, concern: Concern) -> None:
        since = f" since {timezone.localtime(concern.since):%Y-%m-%d %H:%M:%S}" if concern.since else ""
        self.stdout.write(f"{concern.word.upper()}: {concern.what}{since}")
        for line in (concern.why, f"{concern.way_out} {concern.command}".strip()):
            if line:
                self.stdout.write(f"    {line}")


def _as_json(concern: Concern) -> dict[str, str | None]:
    return {
        "kind": concern.kind,
        "level": concern.word,
        "about": concern.about,
        "what": concern.what,
        "why": concern.why,
        "way_out": f"{concern.way_out} {concern.command}".strip(),
        "since": concern.since.isoformat() if concern.since else None,
    }
