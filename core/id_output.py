"""How commands read a list of ids, and print the report about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from core.commands import CommandParser, FnloaderCommand
from core.files import CsvWriter
from core.formatting import pluralize, printable
from core.id_lists import IdList, UnreadableList, read_table
from core.id_reports import IdReport, Row
from core.subcommands import json_text


def read_list(command: FnloaderCommand, options: dict[str, Any], names: Sequence[str]) -> IdList:
    """The ids of the file that is named. Raises UnreadableList."""
    path = options["file"]
    with ExitStack() as stack:
        try:
            file = sys.stdin.buffer if path == "-" else stack.enter_context(Path(path).open("rb"))
            table = read_table(file)
        except OSError as error:
            raise UnreadableList(f"{path} can't be read: {error.strerror}.") from error
    listed = table.choose_ids(names, options["column"])
    if table.width > 1:
        command.stderr.write(
            f"Read {pluralize(len(listed.ids), 'id')} from {listed.source}. Another one: --column NAME"
        )
    return listed


def add_list_arguments(parser: CommandParser) -> None:
    """The list, its column, and the form of the output."""
    parser.add_argument(
        "file", metavar="FILE|-", help="lines, CSV, TSV, a sample sheet, or Excel (.xlsx); - for standard input"
    )
    parser.add_argument(
        "--column", default="", metavar="NAME", help="heading or number of the column with the ids (default: guessed)"
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--csv", action="store_true", help="print CSV")
    output.add_argument("--json", action="store_true", help="print one JSON document")


def print_report(
    command: FnloaderCommand,
    report: IdReport[Row],
    options: dict[str, Any],
    line: Callable[[Row], str],
    totals: dict[str, int],
) -> None:
    """The report as lines, CSV or JSON, written while it is read."""
    document = command.stdout.document
    if options["csv"]:
        writer = CsvWriter(document)
        writer.writerow(report.kind.columns)
        writer.writerows(report)
    elif options["json"]:
        document.write(f'{{"totals": {json_text(totals)}, "ids": [', ending="")
        separator = "\n  "
        for row in report:
            document.write(separator + json_text(dict(zip(report.kind.columns, row, strict=True))), ending="")
            separator = ",\n  "
        document.write("\n]}")
    else:
        for row in report:
            command.stdout.write(printable(line(row)))
