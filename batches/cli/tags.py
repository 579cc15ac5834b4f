"""`batch tag`."""

from __future__ import annotations

from typing import Any

from batches.querysets import get_batch
from batches.tags import add_tags, remove_tags, tag_name
from core.commands import CommandParser, FnloaderCommand
from core.formatting import pluralize, printable
from core.subcommands import Subcommand


def _arguments(parser: CommandParser) -> None:
    parser.add_argument("tag", metavar="TAG", help="a client, a project, or whatever else batches have in common")
    parser.add_argument("bids", nargs="+", metavar="BID", help="id of a batch")
    parser.add_argument("--remove", action="store_true", help="remove the tag from these batches")


def _tag(command: FnloaderCommand, options: dict[str, Any]) -> int:
    name, batches = tag_name(options["tag"]), [get_batch(bid) for bid in options["bids"]]
    for batch in batches:
        (remove_tags if options["remove"] else add_tags)(batch, [name])
    verb = "removed from" if options["remove"] else "added to"
    command.stdout.write(f"Tag {printable(name)} {verb} {pluralize(len(batches), 'batch', 'batches')}.")
    return 0


SUBCOMMANDS = [
    Subcommand(
        "tag",
        "tag batches, for lists and summaries of all that have something in common",
        "exit status: 0; 1 unknown batch, or not a tag; 2 invalid arguments",
        _arguments,
        _tag,
    ),
]
