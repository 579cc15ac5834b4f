"""The subcommands of `manage.py feed`."""

from __future__ import annotations

import json
from argparse import BooleanOptionalAction
from collections.abc import Callable
from contextlib import closing
from functools import partial
from shlex import quote
from typing import Any

from django.db.models import QuerySet

from core.commands import CommandError, CommandParser, FnloaderCommand, at_least_one, database, moment
from core.formatting import pluralize, printable
from core.progress import Progress
from core.subcommands import Subcommand, write_json
from loader.choices import FindingKind, SampleIdRule
from loader.cli import compare
from loader.cli.feed_output import detail_lines, feed_details, feed_rows, left_out_lines, list_lines, preview_lines
from loader.cli.feed_sequences import compare_sequences, write_difference
from loader.fasta.names import DEFAULT_ENDINGS
from loader.feeds import rejections
from loader.feeds.diagnose import diagnose
from loader.feeds.file_names import first_names, last_names, preview_names, update_sample_ids
from loader.feeds.manage import add_feed, check_settings, clear_shrunk, client_for, get_feed, pause_feeds, resume_feeds
from loader.feeds.remove import removal_summary, remove_feed
from loader.feeds.server_urls import WrongUrl
from loader.feeds.store_urls import meaning, open_feed_store
from loader.maintenance.reconcile import reconciliation
from loader.maintenance.sequences import DEFAULT_PACE
from loader.models import Feed
from objectstores.base import StoreError

DIFFERENCES = 10
FILE_SETTINGS = ("header_prefix", "interval", "largest", "endings", "sample_id_rule", "rna_as_dna", "plus_in_ids")
PLUS_HELP = (
    "send ids with a +: only if the server's engine is of the old build; newer ones take it for a space, and store the sample "
    "without its links"
)
EXIT_STATUSES = (
    "exit status: 0 done; 10 reconcile or compare found differences; 1 refused, not confirmed, or a link failed; "
    "2 invalid arguments"
)


def _named_feed(options: dict[str, Any]) -> Feed:
    return get_feed(options["name"], options["database"])


def _would_be(options: dict[str, Any], otherwise: str) -> str:
    return "would be" if options["dry_run"] else otherwise


def _add_arguments(parser: CommandParser) -> None:
    parser.add_argument("server_url", metavar="SERVER_URL", help="the server, http://localhost:5025")
    parser.add_argument(
        "store_url",
        metavar="STORE_URL",
        help="oci://bucket@namespace[/folder], s3://bucket[/folder], file:///folder; "
        "oci://bucket@namespace/run1* for all names that begin with run1",
    )
    parser.add_argument("--lenient-ids", action="store_true", help="load records whose id differs from the file name")
    parser.add_argument("--scheduled", action="store_true", help="also load in background jobs")
    parser.add_argument("--rna-as-dna", action="store_true", help="load U as T; otherwise files with a U are rejected")
    parser.add_argument("--plus-in-ids", action="store_true", help=PLUS_HELP)
    _file_arguments(parser)


def _file_arguments(parser: CommandParser) -> None:
    parser.add_argument("--header-prefix", help="text before the sample id in a FASTA header ('GPAS_SP3|')")
    parser.add_argument("--interval", type=at_least_one, help="seconds between two scans with nothing to load (180)")
    parser.add_argument("--largest", type=at_least_one, metavar="BYTES", help="reject larger files")
    parser.add_argument(
        "--endings", metavar="LIST", help=f"endings of FASTA files, each also with .gz ('{DEFAULT_ENDINGS}')"
    )
    parser.add_argument(
        "--sample-id",
        choices=SampleIdRule.values,
        dest="sample_id_rule",
        help="which part of a file name is the sample id: up to its first dot (default), or all but its ending",
    )


def _add(command: FnloaderCommand, options: dict[str, Any]) -> int:
    columns = {name: options[name] for name in (*FILE_SETTINGS, "scheduled")}
    columns["strict_ids"] = not options["lenient_ids"]
    try:
        feed = add_feed(
            options["name"],
            options["server_url"],
            options["store_url"],
            options["database"],
            dry_run=options["dry_run"],
            **{column: value for column, value in columns.items() if value is not None},
        )
    except WrongUrl as error:
        command.usage(str(error))
    where = f"{feed.store_url} ({note})" if (note := meaning(feed.store_url)) else feed.store_url
    command.stdout.write(f"Feed '{feed.name}' from {where} into {feed.server} {_would_be(options, 'was')} added.")
    if not options["dry_run"]:
        command.stdout.write(
            f"Next: manage.py feed test {feed.name}, then manage.py fnload {feed.server.url} {quote(feed.store_url)}"
        )
        return 0
    try:
        names, left_out = first_names(feed)
    except StoreError as error:
        command.stdout.write(f"Its names can't be shown: {error}")
        return 0
    lines = preview_lines(preview_names(feed, names)) or ["No file of the first objects would be loaded."]
    command.stdout.write_lines([*lines, *left_out_lines(left_out.counts(), "")])
    return 0


def _set_arguments(parser: CommandParser) -> None:
    _file_arguments(parser)
    parser.add_argument(
        "--rna-as-dna", action=BooleanOptionalAction, help="load U as T; otherwise files with a U are rejected"
    )
    parser.add_argument("--plus-in-ids", action=BooleanOptionalAction, help=PLUS_HELP)


def _set(command: FnloaderCommand, options: dict[str, Any]) -> int:
    feed, db = _named_feed(options), options["database"]
    columns = {name: options[name] for name in FILE_SETTINGS if options[name] is not None}
    if not columns:
        command.usage("Name a setting to change, such as --endings or --sample-id.")
    for name, value in columns.items():
        setattr(feed, name, value)
    check_settings(feed)
    if not options["dry_run"]:
        feed.save(update_fields=list(columns))
        update_sample_ids(feed, db)
    command.stdout.write(
        f"Feed '{feed.name}' {_would_be(options, 'was')} changed. A running fnload follows when restarted."
    )
    command.stdout.write_lines(preview_lines(preview_names(feed, last_names(feed, db))))
    return 0


def _list_arguments(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _list(command: FnloaderCommand, options: dict[str, Any]) -> int:
    feeds = feed_rows(options["database"])
    if options["json"]:
        write_json(command, feeds)
    elif feeds:
        command.stdout.write_lines(list_lines(feeds))
    else:
        command.stdout.write("No feeds. Next: manage.py feed add NAME SERVER_URL STORE_URL")
    return 0


def _show(command: FnloaderCommand, options: dict[str, Any]) -> int:
    details = feed_details(_named_feed(options), options["database"])
    if options["json"]:
        write_json(command, details)
    else:
        command.stdout.write_lines(detail_lines(details))
    return 0


def _test(command: FnloaderCommand, options: dict[str, Any]) -> int:
    feed, failed = _named_feed(options), 0
    for link in diagnose(feed, options["database"]):
        failed += not link.ok
        verdict = "warn  " if link.warning else "ok    " if link.ok else "FAILED"
        command.stdout.write(f"{verdict} {link.name}: {printable(link.result)}")
        if link.hint:
            command.stdout.write(f"       {link.hint}")
    if failed:
        raise CommandError(f"Feed '{feed.name}' failed the test.")
    return 0


def _pause_arguments(parser: CommandParser) -> None:
    parser.add_argument("--reason", required=True, help="why; shown on the feed's page")


def _pause(command: FnloaderCommand, options: dict[str, Any]) -> int:
    feed = _named_feed(options)
    if feed.paused_at:
        command.stdout.write(f"Feed '{feed.name}' is already paused.")
        return 0
    return _switch(command, options, feed, "paused", partial(pause_feeds, reason=options["reason"]))


def _resume_arguments(parser: CommandParser) -> None:
    parser.add_argument("--refusals-limit", type=int, metavar="N", help="pause after N refusals in a row; 0: never")


def _resume(command: FnloaderCommand, options: dict[str, Any]) -> int:
    feed, limit = _named_feed(options), options["refusals_limit"]
    if limit is not None and limit < 0:
        command.usage("--refusals-limit must be 0 (never) or more.")
    if limit is not None and not options["dry_run"]:
        feed.refusals_limit = limit
        feed.save(update_fields=["refusals_limit"])
    if not feed.paused_at:
        command.stdout.write(f"Feed '{feed.name}' is not paused.")
        return 0
    return _switch(command, options, feed, "resumed", resume_feeds)


def _switch(
    command: FnloaderCommand, options: dict[str, Any], feed: Feed, state: str, switch: Callable[[QuerySet[Feed]], int]
) -> int:
    if not options["dry_run"]:
        switch(Feed.objects.using(options["database"]).filter(pk=feed.pk))
    command.stdout.write(f"Feed '{feed.name}' {_would_be(options, 'was')} {state}.")
    return 0


def _confirm_arguments(parser: CommandParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _remove(command: FnloaderCommand, options: dict[str, Any]) -> int:
    feed, db, would = _named_feed(options), options["database"], "would" if options["dry_run"] else "will"
    summary = removal_summary(feed, db)
    command.stdout.write(
        f"{summary.objects:,} rows of the ledger of feed '{feed.name}' {would} be deleted; "
        f"{summary.attempts:,} load attempts and {summary.loads:,} batch loads {would} stay. "
        "Samples stay in the server; a new feed sends all files of the bucket again (201, already there)."
    )
    if options["dry_run"]:
        return 0
    if not command.confirmed("Remove it?", yes=options["yes"]):
        raise CommandError("Not removed. Confirm, or add --yes.")
    with Progress(command.stderr, f"removing {feed.name}") as progress:
        remove_feed(feed, db, progress.show)
    command.stdout.write(f"Feed '{feed.name}' was removed.")
    return 0


def _retry_arguments(parser: CommandParser) -> None:
    parser.add_argument("--reason", default="", help="only rejections whose reason contains this text")
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="only rejections since then: 2026-01-31 or 2026-01-31T18:25"
    )


def _retry(command: FnloaderCommand, options: dict[str, Any]) -> int:
    feed, were = _named_feed(options), _would_be(options, "were")
    summary = rejections.retry(
        feed, options["database"], reason=options["reason"], since=options["since"], dry_run=options["dry_run"]
    )
    command.stdout.write(
        f"{pluralize(summary.rejected, 'rejected file')} and {pluralize(summary.postponed, 'delayed file')} "
        f"of '{feed.name}' {were} queued."
    )
    return 0


def _acknowledge(command: FnloaderCommand, options: dict[str, Any]) -> int:
    feed = _named_feed(options)
    summary = rejections.acknowledge(feed, options["database"], dry_run=options["dry_run"])
    command.stdout.write(f"{summary} of '{feed.name}' {_would_be(options, 'were')} acknowledged.")
    return 0


def _reconcile_arguments(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, counts last")
    parser.add_argument("--repair", action="store_true", help="queue samples that the server lost")
    parser.add_argument(
        "--sequences",
        action="store_true",
        help="compare the sequence of each file that is in the server with what the server holds, by its digest; corrects the "
        "results in the ledger",
    )
    parser.add_argument("--after", default="", metavar="FILE", help="with --sequences: continue behind this file")
    parser.add_argument(
        "--pace",
        type=at_least_one,
        default=None,
        metavar="N",
        help=f"with --sequences: at most N questions a second ({DEFAULT_PACE:g}), so that inserts are not slowed down",
    )
    _confirm_arguments(parser)


def _reconcile(command: FnloaderCommand, options: dict[str, Any]) -> int:
    feed = _named_feed(options)
    if options["sequences"]:
        if options["repair"]:
            command.usage("--sequences excludes --repair.")
        return compare_sequences(command, feed, options)
    if options["after"] or options["pace"]:
        command.usage("--after and --pace belong to --sequences.")
    with (
        closing(open_feed_store(feed.store_url)) as store,
        closing(client_for(feed)) as fn4,
        reconciliation(feed, store, fn4, options["database"]) as compared,
    ):
        for difference in compared.differences():
            write_difference(command, difference, as_json=options["json"])
        counts: dict[str, int] = {
            "held": compared.held,
            "listed": compared.listed,
            **{kind.value: compared.counts[kind] for kind in FindingKind},
        }
        queued, lost = 0, compared.counts[FindingKind.LOST]
        if options["repair"] and not options["dry_run"] and lost:
            if not command.confirmed(f"Queue {pluralize(lost, 'file')}?", yes=options["yes"]):
                raise CommandError(f"{pluralize(lost, 'lost sample')} not queued. Confirm, or add --yes.")
            queued = compared.repair()
            command.stderr.write(f"{pluralize(queued, 'file')} queued.")
        if options["repair"] and not options["dry_run"]:
            clear_shrunk(feed, options["database"])
    if options["json"]:
        command.stdout.write(json.dumps({"counts": counts, "queued": queued}))
    else:
        texts = (f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items())
        command.stdout.write(f"{feed.name}: {', '.join(texts)}")
    return DIFFERENCES if set(compared.counts) - {FindingKind.INVALID} else 0


def _subcommand(
    name: str,
    summary: str,
    run: Callable[[FnloaderCommand, dict[str, Any]], int],
    arguments: Callable[[CommandParser], None] = lambda _parser: None,
    *,
    changes: bool = True,
) -> Subcommand:
    def add_arguments(parser: CommandParser) -> None:
        if name != "list":
            parser.add_argument("name", metavar="NAME", help="name of the feed")
        parser.add_argument(
            "--database", type=database, default="default", metavar="ALIAS", help="use another database"
        )
        if changes:
            parser.add_argument("--dry-run", action="store_true", help="print what would be done, change nothing")
        arguments(parser)

    return Subcommand(name, summary, EXIT_STATUSES, add_arguments, run)


SUBCOMMANDS = (
    _subcommand("add", "add a feed: from a store into a server", _add, _add_arguments),
    _subcommand("set", "change settings of a feed, and show what they make of its last names", _set, _set_arguments),
    _subcommand("list", "list all feeds with their state", _list, _list_arguments, changes=False),
    _subcommand("show", "show one feed", _show, _list_arguments, changes=False),
    _subcommand("test", "test each link of a feed: database, store, server; nothing is loaded", _test, changes=False),
    _subcommand(
        "pause",
        "load nothing from a feed until it is resumed; an insert in flight is finished",
        _pause,
        _pause_arguments,
    ),
    _subcommand("resume", "resume a paused feed", _resume, _resume_arguments),
    _subcommand("remove", "remove a feed and its ledger; attempts and batch loads stay", _remove, _confirm_arguments),
    _subcommand("retry", "queue rejected and delayed files", _retry, _retry_arguments),
    _subcommand("reconcile", "compare bucket, ledger and server, sample by sample", _reconcile, _reconcile_arguments),
    Subcommand(
        "compare",
        "compare two servers that should hold the same samples",
        compare.EXIT_STATUSES,
        compare.add_arguments,
        compare.run,
    ),
    _subcommand(
        "acknowledge",
        "dismiss the warnings about rejected files and unproven links, and the error about a server that holds fewer samples",
        _acknowledge,
    ),
)
