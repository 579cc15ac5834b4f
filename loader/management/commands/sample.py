"""`manage.py sample`: which of these samples are in? The work is in loader/cli/sample.py."""

from __future__ import annotations

from typing import Any

from core.commands import CommandError, CommandParser, FnloaderCommand
from core.exceptions import OperationRefused


class Command(FnloaderCommand):
    """Reads a list, and prints what is known about each id."""

    help = (
        "Prints for each sample of a list in which server it is and since when, or why it is not; unknown ones first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The list, and which server."""
        from loader.cli.sample import add_arguments

        add_arguments(parser)

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """One call."""
        from loader.cli import sample

        try:
            return sample.run(self, options)
        except OperationRefused as error:
            raise CommandError(str(error)) from error
