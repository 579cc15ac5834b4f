"""Commands with subcommands, such as `batch` and `feed`: each subcommand is a function and a `Subcommand`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.core.serializers.json import DjangoJSONEncoder

from core.commands import CommandError, CommandParser, FnloaderCommand
from core.exceptions import OperationRefused

_NOT_ASCII = re.compile(r"[^\n -~]")


class Subcommand(NamedTuple):
    """One subcommand."""

    name: str
    summary: str
    """What it does, in half a sentence for the list of all."""
    statuses: str
    """Its exit statuses, for its own help."""
    arguments: Callable[[CommandParser], None]
    run: Callable[[FnloaderCommand, dict[str, Any]], int]
    """Gets the command, to write and ask with, and its options; returns the exit status."""


class SubcommandsCommand(FnloaderCommand):
    """A command that only parses and dispatches."""

    subcommands: Sequence[Subcommand]
    epilog = ""
    failures: tuple[type[Exception], ...] = (OperationRefused,)
    """What a subcommand may raise to end with its text and status 1."""

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser a subcommand."""
        parser.epilog = self.epilog
        subparsers = parser.add_subparsers(dest="step", required=True, metavar="STEP")
        for subcommand in self.subcommands:
            summary = subcommand.summary
            subparser: CommandParser = subparsers.add_parser(
                subcommand.name,
                help=summary,
                description=f"{summary[0].upper()}{summary[1:]}.",
                epilog=subcommand.statuses,
            )
            subcommand.arguments(subparser)
            subparser.set_defaults(run_subcommand=subcommand.run)

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Runs the subcommand that is named."""
        run: Callable[[FnloaderCommand, dict[str, Any]], int] = options["run_subcommand"]
        try:
            return run(self, options)
        except self.failures as error:
            if not isinstance(error, OperationRefused):
                raise CommandError(str(error)) from error
            self.stderr.write_lines(f"  {detail}" for detail in error.details)
            raise CommandError(error.text) from error


def add_confirmation_arguments(parser: CommandParser) -> None:
    """The options of whatever deletes or takes back."""
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")


def json_text(document: Any, indent: int | None = None) -> str:  # noqa: ANN401 - whatever JSON can hold
    """JSON whose strings are readable, and escaped where they are not printable."""
    text = json.dumps(document, indent=indent, cls=DjangoJSONEncoder, ensure_ascii=False)
    return _NOT_ASCII.sub(lambda match: match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1], text)


def write_json(command: FnloaderCommand, document: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """One JSON document."""
    command.stdout.document.write(json_text(document, indent=2))
