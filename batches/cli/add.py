"""`batch add`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from batches.choices import Action, action_counts
from batches.cli.arguments import add_encoding_argument
from batches.corrections.status import correction_status
from batches.creation.add import add_batch
from batches.querysets import get_batch
from core.commands import CommandParser, FnloaderCommand
from core.formatting import pluralize
from core.processes import os_user
from core.subcommands import Subcommand

DEFAULT_RECTYPE = "collectionobject"


def _add_arguments(parser: CommandParser) -> None:
    parser.add_argument("bid", metavar="BID", help="id of the new batch: 1 to 6 letters and digits")
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="folder of files (the identifier is the file name without its suffix), or one with a mapper_report.csv",
    )
    parser.add_argument(
        "--rectype", help="record type (default: that of the batch it corrects, otherwise collectionobject)"
    )
    parser.add_argument(
        "--action",
        choices=[action.lower() for action in Action.values],
        help="action of the batch, and of the records of a folder of files (default: create, or as most keys of the report)",
    )
    parser.add_argument(
        "--path",
        default="/collectionobjects",
        help="services path of the records of a folder of files (default: /collectionobjects)",
    )
    parser.add_argument(
        "--pattern",
        action="append",
        default=[],
        metavar="PATTERN",
        help="which files of a folder of files are records, whatever their case; may be repeated (default: '*.xml')",
    )
    parser.add_argument(
        "--corrects",
        action="append",
        default=[],
        metavar="BID",
        help="batch whose failed records these are, corrected; may be repeated",
    )
    parser.add_argument(
        "--tag", action="append", default=[], metavar="TAG", help="tag of the batch, such as a client; may be repeated"
    )
    add_encoding_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="check everything, add nothing")


def _add(command: FnloaderCommand, options: dict[str, Any]) -> int:
    action = options["action"] and options["action"].upper()
    corrects = [get_batch(bid) for bid in options["corrects"]]
    batch, summary = add_batch(
        options["bid"],
        options["folder"],
        rectype=options["rectype"] or (corrects[0].rectype if corrects else DEFAULT_RECTYPE),
        action=action,
        path=options["path"],
        encoding=options["encoding"],
        who=os_user(),
        patterns=options["pattern"],
        corrects=corrects,
        tags=options["tag"],
        dry_run=options["dry_run"],
    )
    mixed = f" ({action_counts(summary.actions)})" if set(summary.actions) - {batch.action} else ""
    verb = "would be added" if options["dry_run"] else "added"
    action = f"{batch.get_action_display()}{mixed}"
    command.stdout.write(
        f"{batch} {verb}: {pluralize(summary.records, 'record')} to {action}, {summary.sendable:,} to send,"
        f" {summary.unuploadable:,} unuploadable, {pluralize(summary.map_errs, 'mapping error')}."
    )
    for parent in corrects:
        failed = correction_status(parent).failed
        command.stdout.write(
            f"It corrects {parent}: {summary.resent[parent.bid]:,} of its {pluralize(failed, 'failed record')}."
        )
    for note in summary.notes:
        command.stdout.write(note)
    if not options["dry_run"]:
        command.stdout.write(f"Next: manage.py batch upload {batch}")
    return 0


SUBCOMMANDS = [
    Subcommand(
        "add",
        "add a batch from a folder of files, or from a batch folder with its mapper_report.csv",
        "exit status: 0 added; 1 refused, nothing added; 2 invalid arguments",
        _add_arguments,
        _add,
    ),
]
