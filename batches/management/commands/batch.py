"""`manage.py batch`: the life of a batch, a step at a time. The subcommands are in batches/commands."""

from __future__ import annotations

import argparse
from typing import Any

from batches.commands import ending, looking, moving, sending
from batches.errors import ClaimLost
from core.commands import CommandError, CommandParser, FnloaderCommand
from core.exceptions import OperationRefused

STEPS = {step.name: step for step in (*sending.STEPS, *looking.STEPS, *ending.STEPS, *moving.STEPS)}


class Command(FnloaderCommand):
    """Each subcommand is one call of its core: batches.adding, uploading, rollback, clearing, archiving, importing, showing."""

    help = "Adds batches, uploads them, shows where they stand, and puts them away."

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser a subcommand."""
        steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
        for step in STEPS.values():
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
            return STEPS[options["step"]].run(self, options)
        except (OperationRefused, ClaimLost) as error:
            raise CommandError(str(error)) from error
