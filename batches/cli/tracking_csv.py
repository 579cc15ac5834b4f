"""`batch import` and `batch export`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from batches.querysets import select_batches
from batches.tracking_csv.exporter import export, export_to_file
from batches.tracking_csv.importer import ImportSummary, RowOutcome, import_batches, unknown_columns
from core.commands import FAILED, CommandError, CommandParser, FnloaderCommand
from core.formatting import pluralize, printable
from core.processes import os_user
from core.subcommands import Subcommand


def _delimiter(text: str) -> str:
    """An argument that is one character, or the word tab."""
    one = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(one) != 1 or one in '"\r\n\0':
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: give one character, or tab")
    return one


def _import_arguments(parser: CommandParser) -> None:
    parser.add_argument("file", type=Path, metavar="BATCHES_CSV", help="the tracking file, UTF-8")
    parser.add_argument(
        "--batch-dir",
        type=Path,
        metavar="DIR",
        help="the folder that holds the batch folders (default: as the column dir says, beside the file)",
    )
    parser.add_argument("--delimiter", type=_delimiter, default=",", help="between its columns (default: a comma)")
    parser.add_argument("--dry-run", action="store_true", help="read, check and say everything, take nothing")


def _import(command: FnloaderCommand, options: dict[str, Any]) -> int:
    path, folders, delimiter = options["file"], options["batch_dir"], options["delimiter"]
    if folders and not folders.is_dir():
        command.usage(f"There is no folder {folders}.")
    if strange := unknown_columns(path, delimiter):
        command.stdout.write(f"Columns that no batches CSV has are left out: {', '.join(map(printable, strange))}")
    fates: Counter[RowOutcome] = Counter()
    records = 0
    rows = import_batches(path, who=os_user(), folders=folders, delimiter=delimiter, dry_run=options["dry_run"])
    for one in rows:
        fates[one.fate] += 1
        records += one.taken.records
        _print_summary(command, one)
    found = ", ".join(f"{fates[fate]} {fate.value}" for fate in RowOutcome if fates[fate]) or "no rows"
    dry = "Dry run, nothing is kept: " if options["dry_run"] else ""
    command.stdout.write(f"{dry}{found}; {pluralize(records, 'record')} taken.")
    return FAILED if fates[RowOutcome.REFUSED] else 0


def _print_summary(command: FnloaderCommand, one: ImportSummary) -> None:
    from_ = f" ({', '.join(one.taken.reports)})" if one.taken.reports else ""
    taken = (
        f", {pluralize(one.taken.records, 'record')}{from_}" if one.fate in (RowOutcome.NEW, RowOutcome.CHANGED) else ""
    )
    command.stdout.write(f"line {one.line}: {printable(one.bid)} {one.fate.value}{taken}")
    for note in one.notes:
        command.stdout.write("\n".join(f"  {printable(line)}" for line in note.split("\n")))
    command.stdout.flush()


def _export_arguments(parser: CommandParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="where to (default: standard output)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--archived", action="store_true", help="only archived batches")
    which.add_argument("--all", action="store_true", help="archived ones, too")
    parser.add_argument("--delimiter", type=_delimiter, default=",", help="between its columns (default: a comma)")


def _export(command: FnloaderCommand, options: dict[str, Any]) -> int:
    path: Path | None = options["file"]
    chosen = select_batches(archived=None if options["all"] else options["archived"]).order_by("pk").iterator()
    if path is None:
        export(command.stdout, chosen, options["delimiter"])
        return 0
    try:
        number = export_to_file(path, chosen, options["delimiter"])
    except OSError as error:
        raise CommandError(f"{path} could not be written: {error.strerror}. It is as it was.") from error
    command.stdout.write(f"{number} {'batch' if number == 1 else 'batches'} written to {path}.")
    return 0


SUBCOMMANDS = [
    Subcommand(
        "import",
        "batches of a tracking CSV, with the step reports of their folders; a second time changes only what differs",
        "exit status: 0 all rows are taken, or were already; 1 some were refused, each is named; 2 wrong usage",
        _import_arguments,
        _import,
    ),
    Subcommand(
        "export",
        "the batches as a tracking CSV, which an import reads back",
        "exit status: 0 written; 1 the file could not be written; 2 wrong usage",
        _export_arguments,
        _export,
    ),
]
