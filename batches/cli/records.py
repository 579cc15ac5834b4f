"""`batch records`: in which batches the records of a list are, and what became of them."""

from __future__ import annotations

from typing import Any

from batches.choices import RecordStatus
from batches.record_list import COLUMN_NAMES, RecordRow, record_report, totals
from core.commands import CommandParser, FnloaderCommand
from core.formatting import pluralize
from core.id_output import add_list_arguments, print_report, read_list
from core.subcommands import Subcommand


def _arguments(parser: CommandParser) -> None:
    add_list_arguments(parser)
    parser.add_argument("--open", action="store_true", help="list only those that are not ingested")


def _records(command: FnloaderCommand, options: dict[str, Any]) -> int:
    listed = read_list(command, options, COLUMN_NAMES)
    with record_report(listed.ids, only_open=options["open"]) as report:
        counts = totals(report) | {"repeated": listed.repeated}
        print_report(command, report, options, report_line, counts)
        if not (options["csv"] or options["json"]):
            command.stdout.write(summary(counts))
        return report.exit_status


def report_line(row: RecordRow) -> str:
    """One row: `Ingest failed   1984.12  batch plc, row 3, create  409 Client Error`."""
    parts = [f"{RecordStatus(row.status).label:<14} {row.identifier}"]
    if row.known_as:
        parts.append(f"as {row.known_as}")
    if row.batch:
        archived = ", archived" if row.archived else ""
        parts.append(f"batch {row.batch}{archived}, row {row.row}" + (f", {row.action}" if row.action else ""))
    return "  ".join([*parts, *filter(None, [row.message])])


def summary(counts: dict[str, int]) -> str:
    """All of them: `3 identifiers: 1 unknown, 2 ingested.`"""
    texts = [f"{counts[status]:,} {status.label.lower()}" for status in RecordStatus if counts[status]]
    repeated = f" {pluralize(counts['repeated'], 'repetition')} left out." if counts["repeated"] else ""
    return f"{pluralize(counts['total'], 'identifier')}: {', '.join(texts)}.{repeated}"


SUBCOMMANDS = [
    Subcommand(
        "records",
        "find the records of a list: in which batches they are, and what became of them",
        "exit status: 0 all are ingested; 10 some are not; 1 the list can't be read; 2 invalid arguments",
        _arguments,
        _records,
    ),
]
