"""`batch add`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from batches.choices import Action
from batches.creation.add import add_batch
from core.commands import CommandParser, FnloaderCommand
from core.formatting import pluralize
from core.processes import os_user
from core.subcommands import Subcommand


def _add_arguments(parser: CommandParser) -> None:
    parser.add_argument("bid", metavar="BID", help="its id: 1 to 6 letters and digits")
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="files to send, identifier = file name without its ending; or a folder with a mapper_report.csv",
    )
    parser.add_argument("--rectype", default="collectionobject", help="record type (default: collectionobject)")
    parser.add_argument(
        "--action",
        choices=[action.lower() for action in Action.values],
        help="what the ingest does with each record (default: create; a mapper's report says it itself)",
    )
    parser.add_argument(
        "--path",
        default="/collectionobjects",
        help="services path of the records of a plain folder (default: /collectionobjects)",
    )
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, add nothing")


def _add(command: FnloaderCommand, options: dict[str, Any]) -> int:
    action = options["action"] and options["action"].upper()
    batch, added = add_batch(
        options["bid"],
        options["folder"],
        rectype=options["rectype"],
        action=action,
        path=options["path"],
        who=os_user(),
        dry_run=options["dry_run"],
    )
    done = "would be added" if options["dry_run"] else "added"
    command.stdout.write(
        f"{batch} {done}: {pluralize(added.records, 'record')} to {batch.get_action_display()}, {added.sendable:,} to send,"
        f" {added.unuploadable:,} unuploadable, {added.map_errs:,} with a failed mapping."
    )
    if not options["dry_run"]:
        command.stdout.write(f"Next: manage.py batch upload {batch}")
    return 0


SUBCOMMANDS = [
    Subcommand(
        "add",
        "a batch from a folder of files, or a batch folder with its mapper_report.csv",
        "exit status: 0 added; 1 refused, nothing was added; 2 wrong usage",
        _add_arguments,
        _add,
    ),
]
