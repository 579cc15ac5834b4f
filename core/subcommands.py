"""Subcommands of a command, such as `batch` and `feed`: a function and a `Subcommand` each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from django.core.serializers.json import DjangoJSONEncoder

from core.commands import CommandParser, FnloaderCommand


class Subcommand(NamedTuple):
    """One subcommand."""

    name: str
    what: str
    """What it does, in half a sentence for the list of all."""
    statuses: str
    """Its exit statuses, for its own help."""
    arguments: Callable[[CommandParser], None]
    run: Callable[[FnloaderCommand, dict[str, Any]], int]
    """Gets the command, to write and ask with, and its options; returns the exit status."""


def add_confirmation_arguments(parser: CommandParser) -> None:
    """The options of whatever deletes or takes back."""
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")


def write_json(command: FnloaderCommand, document: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """One JSON document."""
    command.stdout.write(json.dumps(document, indent=2, cls=DjangoJSONEncoder, ensure_ascii=False))
