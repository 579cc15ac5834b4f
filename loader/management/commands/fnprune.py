"""Deletes old detail of the loader's tables."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from core.commands import CommandParser, FnloaderCommand, at_least_one, database


class Command(FnloaderCommand):
    """One call of `loader.maintenance.prune.prune`; the nightly job makes the same."""

    help = "Deletes old load attempts without a result, batch loads in which nothing was due, and server readings (90 days)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Asks first, as everything that deletes."""
        parser.epilog = "exit status: 0 done; 1 not confirmed, or a database error; 2 invalid arguments"
        parser.add_argument(
            "--days", type=at_least_one, metavar="N", help="older than N days (PRUNE_AFTER_DAYS, else 365)"
        )
        parser.add_argument("--dry-run", action="store_true", help="print what would be deleted")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
        parser.add_argument("--database", type=database, default="default", metavar="ALIAS", help="another database")

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Counts, asks, and deletes."""
        from loader.maintenance.prune import prune

        days = options["days"] or settings.PRUNE_AFTER_DAYS or 365
        summary = prune(days, options["database"], dry_run=True)
        if options["dry_run"]:
            self.stdout.write(f"Would delete {summary}.")
            return 0
        if not self.confirmed(f"Delete {summary} older than {days:g} days?", yes=options["yes"]):
            return 1
        self.stdout.write(f"Deleted {prune(days, options['database'])}.")
        return 0
