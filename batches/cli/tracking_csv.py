"""`batch import` and `batch export`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from batches.cli.arguments import add_encoding_argument
from batches.querysets import select_batches
from batches.tracking_csv.exporter import export, export_to_file
from batches.tracking_csv.importer import RowOutcome, ignored_parts, import_batches
from core.commands import FAILED, CommandError, CommandParser, FnloaderCommand
from core.formatting import pluralize, printable
from core.processes import os_user
from core.subcommands import Subcommand


def _delimiter(text: str) -> str:
    """An argument that is one character, or the word tab."""
    delimiter = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise argparse.ArgumentTypeError(f"invalid delimiter {text!r}: use one character, or tab")
    return delimiter


def _import_arguments(parser: CommandParser) -> None:
    parser.add_argument("file", type=Path, metavar="BATCHES_CSV", help="the tracking CSV")
    parser.add_argument(
        "--batch-dir",
        type=Path,
        metavar="DIR",
        help="folder of the batch folders (default: as in column dir, relative to the file)",
    )
    parser.add_argument("--delimiter", type=_delimiter, help="column separator (default: as in its first line)")
    add_encoding_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="check and print everything, import nothing")


def _import(command: FnloaderCommand, options: dict[str, Any]) -> int:
    path, folders = options["file"], options["batch_dir"]
    form = {"delimiter": options["delimiter"], "encoding": options["encoding"]}
    if folders and not folders.is_dir():
        command.usage(f"There is no folder {folders}.")
    for line in ignored_parts(path, **form):
        command.stdout.write(line)
    outcomes: Counter[RowOutcome] = Counter()
    records = 0
    rows = import_batches(path, who=os_user(), folders=folders, **form, dry_run=options["dry_run"])
    for row in rows:
        outcomes[row.outcome] += 1
        records += row.imported.records
        reports = f" ({', '.join(row.imported.reports)})" if row.imported.reports else ""
        changed = row.outcome in (RowOutcome.CREATED, RowOutcome.UPDATED)
        details = f", {pluralize(row.imported.records, 'record')}{reports}" if changed else ""
        command.stdout.write(f"line {row.line}: {printable(row.bid)} {row.outcome.value}{details}")
        command.stdout.write_lines(f"  {note}" for note in row.notes)
        command.stdout.flush()
    numbers = ", ".join(f"{outcomes[outcome]} {outcome.value}" for outcome in RowOutcome if outcomes[outcome])
    dry_run = "Dry run, nothing is imported: " if options["dry_run"] else ""
    command.stdout.write(f"{dry_run}{numbers or 'no rows'}; {pluralize(records, 'record')} imported.")
    return FAILED if outcomes[RowOutcome.REJECTED] else 0


def _export_arguments(parser: CommandParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="output file (default: standard output)")
    archived = parser.add_mutually_exclusive_group()
    archived.add_argument("--archived", action="store_true", help="only archived batches")
    archived.add_argument("--all", action="store_true", help="also archived batches")
    parser.add_argument("--delimiter", type=_delimiter, default=",", help="column separator (default: a comma)")


def _export(command: FnloaderCommand, options: dict[str, Any]) -> int:
    path: Path | None = options["file"]
    batches = select_batches(archived=None if options["all"] else options["archived"]).order_by("pk").iterator()
    if path is None:
        export(command.stdout.document, batches, options["delimiter"])
        return 0
    try:
        number = export_to_file(path, batches, options["delimiter"])
    except OSError as error:
        raise CommandError(f"Could not write {path}: {error.strerror}. It is unchanged.") from error
    command.stdout.write(f"{pluralize(number, 'batch', 'batches')} written to {path}.")
    return 0


SUBCOMMANDS = [
    Subcommand(
        "import",
        "import batches from a tracking CSV, with the step reports of their folders; unchanged batches are skipped",
        "exit status: 0 all rows imported or unchanged; 1 some rows rejected; 2 invalid arguments",
        _import_arguments,
        _import,
    ),
    Subcommand(
        "export",
        "export batches as a tracking CSV",
        "exit status: 0 written; 1 the file could not be written; 2 invalid arguments",
        _export_arguments,
        _export,
    ),
]
