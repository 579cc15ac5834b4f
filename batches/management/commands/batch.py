"""`manage.py batch`: the life of a batch, a step at a time. The subcommands are in batches/cli."""

from __future__ import annotations

import argparse
from typing import Any

from batches.cli import add, lifecycle, show, tracking_csv, upload
from batches.upload.lock import UploadLockLost
from core.commands import CommandError, CommandParser, FnloaderCommand
from core.exceptions import OperationRefused

SUBCOMMANDS = {
    one.name: one
    for one in (
        *add.SUBCOMMANDS,
        *upload.SUBCOMMANDS,
        *show.SUBCOMMANDS,
        *lifecycle.SUBCOMMANDS,
        *tracking_csv.SUBCOMMANDS,
    )
}


class Command(FnloaderCommand):
    """Each subcommand is one call of its core."""

    help = "Adds batches, uploads them, shows where they stand, and puts them away."

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser a subcommand."""
        steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
        for step in SUBCOMMANDS.values():
            one: CommandParser = steps.add_parser(
                step.name,
                help=step.what,
                description=f"{step.what[0].upper()}{step.what[1:]}.",
                epilog=step.statuses,
                formatter_class=argparse.HelpFormatter,
            )
            step.arguments(one)

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Runs the step that is named."""
        try:
            return SUBCOMMANDS[options["step"]].run(self, options)
        except (OperationRefused, UploadLockLost) as error:
            raise CommandError(str(error)) from error
