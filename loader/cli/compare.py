"""`manage.py feed compare`: two servers that should hold the same samples."""

from __future__ import annotations

import json
from shlex import quote
from typing import Any

from core.commands import CommandError, CommandParser, FnloaderCommand, at_least_one, database
from core.exceptions import OperationRefused
from core.formatting import pluralize
from core.subcommands import add_confirmation_arguments
from loader.choices import TwinKind
from loader.cli.feed_sequences import write_difference
from loader.feeds.server_urls import WrongUrl
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.maintenance.twins import DEFAULT_PACE, ServerComparison, server_comparison
from loader.maintenance.twins_job import find_twin

DIFFERENCES = 10
EXIT_STATUSES = "exit status: 0 equal; 10 different; 1 a server or store failed, or not confirmed; 2 invalid arguments"


def add_arguments(parser: CommandParser) -> None:
    """The arguments of `feed compare`."""
    parser.add_argument("first", metavar="A", help="a feed, whose server is meant, or the URL of a server")
    parser.add_argument("second", metavar="B", help="another one")
    parser.add_argument("--database", type=database, default="default", metavar="ALIAS", help="use another database")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, counts last")
    parser.add_argument(
        "--sequences",
        action="store_true",
        help="also compare the sequences of samples that are in both, by their MD5: two questions a sample",
    )
    parser.add_argument("--after", default="", metavar="ID", help="with --sequences: continue behind this sample")
    parser.add_argument(
        "--pace",
        type=at_least_one,
        metavar="N",
        help=f"with --sequences: at most N samples a second ({DEFAULT_PACE:g}), so that inserts are not slowed down",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="queue what one of them lacks although it was loaded, if its feed's bucket still has it",
    )
    add_confirmation_arguments(parser)


def run(command: FnloaderCommand, options: dict[str, Any]) -> int:
    """Compares, prints each difference, and returns the exit status."""
    if (options["after"] or options["pace"]) and not options["sequences"]:
        command.usage("--after and --pace belong to --sequences.")
    db = options["database"]
    try:
        first, second = (find_twin(options[name], db) for name in ("first", "second"))
    except WrongUrl as error:
        command.usage(str(error))
    if first.fn4.url == second.fn4.url:
        raise OperationRefused(f"Both are {first.fn4.url}. Name two servers.")
    with server_comparison(first, second, db) as compared:
        for difference in compared.differences():
            write_difference(command, difference, as_json=options["json"])
        if options["sequences"]:
            try:
                for found in compared.sequence_differences(options["pace"] or DEFAULT_PACE, options["after"]):
                    write_difference(command, found, as_json=options["json"])
            except (KeyboardInterrupt, ServerUnavailable, ServerMisconfigured):
                if last := compared.last or options["after"]:
                    names = f"{quote(options['first'])} {quote(options['second'])}"
                    command.stderr.write(
                        f"Continue with: manage.py feed compare {names} --sequences --after {quote(last)}"
                    )
                raise
        queued = _repair(command, compared, options) if options["repair"] else 0
    if options["json"]:
        counts = {"in_first": compared.in_first, "in_second": compared.in_second}
        counts |= {kind.value: compared.counts[kind] for kind in TwinKind}
        command.stdout.write(json.dumps({"counts": counts, "summary": compared.summary, "queued": queued}))
    else:
        command.stdout.write(compared.summary)
        if compared.lost and not options["repair"]:
            command.stdout.write(f"{pluralize(compared.lost, 'sample')} may be queued again: add --repair.")
    return DIFFERENCES if compared.counts else 0


def _repair(command: FnloaderCommand, compared: ServerComparison, options: dict[str, Any]) -> int:
    if not compared.lost or options["dry_run"]:
        return 0
    number = pluralize(compared.lost, "sample")
    if not command.confirmed(f"Queue {number}, as far as the buckets still have them?", yes=options["yes"]):
        raise CommandError(f"{number} not queued. Confirm, or add --yes.")
    queued = compared.repair()
    command.stderr.write(f"{pluralize(queued, 'file')} queued, {compared.lost - queued:,} no longer in their buckets.")
    return queued
