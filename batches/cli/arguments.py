"""Arguments and lines that several subcommands of `batch` share."""

from __future__ import annotations

from itertools import islice

from batches.cli import facts
from batches.models import Batch
from core.commands import CommandParser, FnloaderCommand
from core.formatting import pluralize


def add_batch_argument(parser: CommandParser) -> None:
    """The argument that nearly all of them have."""
    parser.add_argument("bid", metavar="BID", help="id of the batch")


def print_uncertain(command: FnloaderCommand, batch: Batch, number: int) -> None:
    """Names the records that may have been ingested; nothing where there are none."""
    if not number:
        return
    command.stdout.write(f"  {pluralize(number, 'record')} may have been ingested, or never sent:")
    for one in islice(facts.uncertain_records(batch), facts.NAMED):
        command.stdout.write(f"    row {one['row']}: {one['identifier']} ({one['action']})")
    if number > facts.NAMED:
        command.stdout.write(f"    … and {number - facts.NAMED} more: manage.py batch show {batch} --json")
    command.stdout.write("  Look them up in CollectionSpace. To send them again all the same: --resend-uncertain")
