"""`batch list`, `batch show` and `batch objects`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.utils import timezone

from batches import remaining
from batches.choices import BatchStatus, action_counts
from batches.cli import facts
from batches.cli.arguments import add_batch_argument, print_uncertain
from batches.corrections.status import batches_with_open
from batches.ingest.forecast import forecast_text
from batches.querysets import NEXT_STEP, count_actions, get_batch, select_batches
from batches.remaining import remaining_objects_of
from batches.reports.failure_causes import failure_causes
from batches.store import store_changed_note
from batches.tags import tag_name, tags_of
from core.commands import CommandParser, FnloaderCommand
from core.formatting import format_duration, format_time, pluralize, printable, text_table
from core.subcommands import Subcommand, json_text, write_json

MAX_LINES = 100
"""Objects that `batch objects` lists as lines; --csv and --json have all."""


def _list_arguments(parser: CommandParser) -> None:
    parser.add_argument("--status", choices=BatchStatus.values, help="only batches with this status")
    parser.add_argument(
        "--next",
        choices=list(NEXT_STEP),
        help="only batches with this next step: upload (also if it was cut off), ingstat, or none (ingested)",
    )
    parser.add_argument("--tag", help="only batches with this tag")
    parser.add_argument(
        "--open", action="store_true", help="only batches with failed records that were not corrected in a later batch"
    )
    archived = parser.add_mutually_exclusive_group()
    archived.add_argument("--archived", action="store_true", help="only archived batches")
    archived.add_argument("--all", action="store_true", help="also archived batches")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")


def _list(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batches = batches_with_open(
        select_batches(
            status=options["status"],
            next_step=options["next"],
            archived=None if options["all"] else options["archived"],
        )
    )
    if options["tag"]:
        batches = batches.filter(tags__name=tag_name(options["tag"]))
    if options["open"]:
        batches = batches.filter(open_records__gt=0)
    if options["json"]:
        write_json(command, [facts.batch_facts(batch) | {"open": batch.open_records} for batch in batches.iterator()])
        return 0
    header = (
        "id",
        "status",
        "record type",
        "action",
        "records",
        "uploaded",
        "failed",
        "ingested",
        "remaining",
        "open",
        "duration",
        "added",
    )
    rows = [
        (
            batch.bid,
            f"{batch.status}, archived" if batch.archived_at else batch.status,
            batch.rectype,
            batch.get_action_display(),
            batch.record_count,
            batch.upload_oks,
            batch.upload_errs,
            batch.ingest_oks,
            batch.ingest_errs,
            batch.open_records,
            format_duration(batch.ingest_duration),
            format_time(batch.added_at),
        )
        for batch in batches.iterator()
    ]
    filtered = any(options[name] for name in ("status", "next", "archived", "open", "tag"))
    none = "No matching batches." if filtered else "No batches yet. To add one: manage.py batch add BID FOLDER"
    for line in text_table(header, rows) if rows else [none]:
        command.stdout.write(line)
    return 0


def _show_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document, with every uncertain record")


def _show(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch = get_batch(options["bid"])
    columns, actions, outcomes, causes, forecast = (
        facts.batch_facts(batch),
        count_actions(batch),
        facts.outcome_facts(batch),
        failure_causes(batch),
        facts.forecast_facts(batch),
    )
    if options["json"]:
        records = {"uncertain": list(facts.uncertain_records(batch)), "failed": list(facts.failed_records(batch))}
        history = {"steps": list(facts.step_facts(batch)), "checks": list(facts.check_facts(batch))}
        corrections = facts.correction_facts(batch) | {"tags": tags_of(batch)}
        reasons = {"causes": [asdict(cause) for cause in causes], "drain": forecast and asdict(forecast)}
        write_json(
            command, columns | {"actions": actions, "outcomes": outcomes} | reasons | corrections | records | history
        )
        return 0
    for name, value in columns.items():
        if value is not None and value != "":
            text = format_duration(value) if isinstance(value, timedelta) else value
            text = format_time(value) if isinstance(value, datetime) else text
            command.stdout.write(f"{name.replace('_', ' '):22} {text}")
    if set(actions) - {batch.action}:
        command.stdout.write(f"{'actions':22} {action_counts(actions)}")
    for step, counts in outcomes.items():
        if counts:
            numbers = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
            command.stdout.write(f"{step + ' outcomes':22} {numbers}")
    if forecast:
        command.stdout.write(f"{'ingest':22} {forecast_text(forecast)}")
    if tags := tags_of(batch):
        command.stdout.write(f"{'tags':22} {printable(', '.join(tags))}")
    for name, value in facts.correction_lines(batch):
        command.stdout.write(f"{name:22} {value}")
    for line in facts.failure_reasons(causes):
        command.stdout.write(line)
    print_uncertain(command, batch, outcomes["upload"].get("uncertain", 0))
    # Each begins with its time.
    for line in sorted((*facts.step_lines(batch), *facts.check_lines(batch)), key=lambda line: line[:19]):
        command.stdout.write(line)
    return 0


def _objects_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    parser.add_argument("--retried", action="store_true", help="only objects of records that are tried again and again")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--csv", action="store_true", help="print CSV, with the key of each object")
    output.add_argument("--json", action="store_true", help="print one JSON document, with the key of each object")


def _objects(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch, retried = get_batch(options["bid"]), options["retried"]
    objects = remaining_objects_of(batch, retried=retried)
    if options["csv"]:
        remaining.write_csv(command.stdout.document, objects)
    elif options["json"]:
        # Written as it is read: there may be a million objects.
        now, separator = timezone.now(), "["
        for item in objects:
            cells = dict(zip(remaining.COLUMNS, item.cells(now), strict=True))
            command.stdout.document.write(separator + "\n  " + json_text(cells), ending="")
            separator = ","
        command.stdout.document.write("[]" if separator == "[" else "\n]")
    else:
        if note := store_changed_note(batch):
            command.stdout.write(note)
        now = timezone.now()
        rows = [
            (
                printable(item.identifier),
                printable(item.path),
                item.action,
                item.size,
                format_time(item.created),
                format_duration(now - item.created) if item.created else "",
            )
            for item in islice(objects, MAX_LINES)
        ]
        for line in text_table(("identifier", "path", "action", "bytes", "uploaded", "age"), rows) if rows else ():
            command.stdout.write(line)
        more = sum(1 for _ in objects)
        noun = "retried object" if retried else "object"
        command.stdout.write(f"{pluralize(len(rows) + more, noun)} of {batch} remaining.")
        if more:
            command.stdout.write(f"{more} of them are not listed; to list all, use --csv or --json.")
    return 0


SUBCOMMANDS = [
    Subcommand(
        "list",
        "list batches that are not archived",
        "exit status: 0; 2 invalid arguments",
        _list_arguments,
        _list,
    ),
    Subcommand(
        "show",
        "show a batch and its history",
        "exit status: 0; 1 unknown batch; 2 invalid arguments",
        _show_arguments,
        _show,
    ),
    Subcommand(
        "objects",
        "list the remaining objects of a batch in its bucket, decoded",
        "exit status: 0; 1 unknown batch, or listing the bucket failed; 2 invalid arguments",
        _objects_arguments,
        _objects,
    ),
]
