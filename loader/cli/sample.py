"""`manage.py sample`: which samples of a list are in, where, or why not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.commands import CommandParser, FnloaderCommand, database
from core.formatting import format_time, pluralize
from core.id_output import add_list_arguments, print_report, read_list
from loader.choices import SampleStatus
from loader.feeds.server_urls import WrongUrl, normalise
from loader.sample_list import COLUMN_NAMES, SampleRow, find_server, sample_report, totals

EXIT_STATUSES = (
    "exit status: 0 all are in; 10 some are not; 1 the list can't be read, or no such server; 2 invalid arguments"
)


def add_arguments(parser: CommandParser) -> None:
    """The list, and which server."""
    parser.epilog = EXIT_STATUSES
    add_list_arguments(parser)
    parser.add_argument("--server", default="", metavar="URL", help="only this server (default: each that holds it)")
    parser.add_argument("--database", type=database, default="default", metavar="ALIAS", help="use another database")


def run(command: FnloaderCommand, options: dict[str, Any]) -> int:
    """Looks the ids up and prints the report. Raises OperationRefused."""
    db, server = options["database"], ""
    if options["server"]:
        try:
            server = find_server(normalise(options["server"]), db)
        except WrongUrl as error:
            command.usage(str(error))
    listed = read_list(command, options, COLUMN_NAMES)
    with sample_report(listed.ids, server, db) as report:
        counts = totals(report) | {"repeated": listed.repeated}
        print_report(command, report, options, report_line, counts)
        if not (options["csv"] or options["json"]):
            command.stdout.write(summary(counts))
        return report.exit_status


def report_line(row: SampleRow) -> str:
    """One row: `In         s1  http://fn4:5025  since 2026-01-31 18:25:03`."""
    since = format_time(datetime.fromisoformat(row.since)) if row.since else ""
    parts = [f"{SampleStatus(row.status).label:<10} {row.id}"]
    if row.known_as:
        parts.append(f"as {row.known_as}")
    if row.server and row.status != SampleStatus.UNKNOWN:
        parts.append(row.server)
    if since:
        parts.append(f"since {since}")
    return "  ".join([*parts, *filter(None, [row.why])])


def summary(counts: dict[str, int]) -> str:
    """All of them: `3 ids: 1 unknown, 2 in (1 with a warning).`"""
    texts = [f"{counts[status]:,} {status.label.lower()}" for status in SampleStatus if counts[status]]
    if counts["warnings"]:
        texts[-1] += f" ({counts['warnings']:,} with a warning)"
    repeated = f" {pluralize(counts['repeated'], 'repetition')} left out." if counts["repeated"] else ""
    return f"{pluralize(counts['total'], 'id')}: {', '.join(texts)}.{repeated}"
