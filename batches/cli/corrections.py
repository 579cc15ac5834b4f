"""`batch corrections` and `batch link`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from batches.cli.arguments import add_batch_argument
from batches.corrections.links import link_corrections, unlink_correction
from batches.corrections.status import correction_status, count_resent
from batches.querysets import get_batch
from batches.reports.failed_rows import failed_rows, write_failed_rows, write_failed_rows_to
from batches.reports.failure_causes import failure_causes
from core.commands import CommandError, CommandParser, FnloaderCommand
from core.exceptions import OperationRefused
from core.formatting import pluralize
from core.subcommands import Subcommand


def _corrections_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="output file (default: standard output)")
    parser.add_argument("--uncertain", action="store_true", help="also records that may have been ingested")
    parser.add_argument("--open", action="store_true", help="only records that were not corrected since")
    parser.add_argument(
        "--cause", default="", metavar="TEXT", help="only records whose cause (`batch show`) contains this text"
    )


def _corrections(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch, cause = get_batch(options["bid"]), options["cause"]
    if cause and not any(cause.casefold() in found.message.casefold() for found in failure_causes(batch)):
        raise OperationRefused(
            f"No failed record of {batch} has the cause {cause!r}. Causes: manage.py batch show {batch}"
        )
    rows = failed_rows(batch, uncertain=options["uncertain"], only_open=options["open"], cause=cause)
    path: Path | None = options["file"]
    if path is None:
        write_failed_rows(command.stdout.document, rows)
        return 0
    try:
        number = write_failed_rows_to(path, rows)
    except OSError as error:
        raise CommandError(f"Could not write {path}: {error.strerror}. It is unchanged.") from error
    command.stdout.write(f"{pluralize(number, 'failed record')} of {batch} written to {path}.")
    if number:
        command.stdout.write(
            f"Next: correct the file, map it as a new batch, then: manage.py batch add BID FOLDER --corrects {batch}"
        )
    return 0


def _link_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    parser.add_argument(
        "--corrects",
        action="append",
        required=True,
        metavar="BID",
        help="batch whose failed records are in it, corrected; may be repeated",
    )
    parser.add_argument("--undo", action="store_true", help="it does not correct them")


def _link(command: FnloaderCommand, options: dict[str, Any]) -> int:
    child, parents = get_batch(options["bid"]), [get_batch(bid) for bid in options["corrects"]]
    if options["undo"]:
        for parent in parents:
            unlink_correction(child, parent)
            command.stdout.write(f"{child} no longer corrects {parent}: {correction_status(parent)}.")
        return 0
    link_corrections(child, parents)
    for parent in parents:
        command.stdout.write(
            f"{child} corrects {parent}: it has {pluralize(count_resent(parent, child), 'failed record')} of it."
            f" {parent}: {correction_status(parent)}."
        )
    return 0


SUBCOMMANDS = [
    Subcommand(
        "corrections",
        "export the failed records of a batch as a CSV with the columns of its source, to correct and map them again",
        "exit status: 0; 1 unknown batch or cause, or the file could not be written; 2 invalid arguments",
        _corrections_arguments,
        _corrections,
    ),
    Subcommand(
        "link",
        "state that a batch corrects failed records of another one, if `batch add --corrects` did not",
        "exit status: 0; 1 refused, nothing changed; 2 invalid arguments",
        _link_arguments,
        _link,
    ),
]
