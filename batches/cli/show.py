"""`batch list`, `batch show` and `batch objects`."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from typing import Any

from django.utils import timezone

from batches import remaining
from batches.choices import BatchStatus
from batches.cli import facts as showing
from batches.cli.arguments import add_batch_argument, print_uncertain
from batches.ingest.forecast import forecast_text
from batches.querysets import NEXT_STEP, get_batch, select_batches
from batches.remaining import RemainingObject, objects_of
from batches.reports.failure_causes import failure_causes
from batches.store import store_changed_note
from core.commands import CommandParser, FnloaderCommand
from core.formatting import format_duration, format_time, pluralize, printable, text_table
from core.subcommands import Subcommand, write_json

LISTED = 100
"""So many objects are listed as lines; --csv and --json name them all."""


def _list_arguments(parser: CommandParser) -> None:
    parser.add_argument("--status", choices=BatchStatus.values, help="only those of this status")
    parser.add_argument(
        "--next",
        choices=list(NEXT_STEP),
        help="only those whose next step is this: upload (also one that was cut off), ingstat, or none (ingested)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--archived", action="store_true", help="only archived ones")
    which.add_argument("--all", action="store_true", help="archived ones, too")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")


def _list(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batches = select_batches(
        status=options["status"],
        next_step=options["next"],
        archived=None if options["all"] else options["archived"],
    )
    if options["json"]:
        write_json(command, [showing.batch_facts(batch) for batch in batches.iterator()])
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
        "left",
        "took",
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
            format_duration(batch.ingest_duration),
            format_time(batch.added_at),
        )
        for batch in batches.iterator()
    ]
    chosen = any(options[name] for name in ("status", "next", "archived"))
    none = "No such batch." if chosen else "No batch. Add one with: manage.py batch add BID FOLDER"
    for line in text_table(header, rows) if rows else [none]:
        command.stdout.write(line)
    return 0


def _show_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document, with every uncertain record")


def _show(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch = get_batch(options["bid"])
    facts, outcomes, why, drain = (
        showing.batch_facts(batch),
        showing.outcome_facts(batch),
        failure_causes(batch),
        showing.forecast_facts(batch),
    )
    if options["json"]:
        named = {"uncertain": list(showing.uncertain_records(batch)), "failed": list(showing.failed_records(batch))}
        history = {"steps": list(showing.step_facts(batch)), "checks": list(showing.check_facts(batch))}
        reasons = {"causes": [asdict(one) for one in why], "drain": drain and asdict(drain)}
        write_json(command, facts | {"outcomes": outcomes} | reasons | named | history)
        return 0
    for name, value in facts.items():
        if value is not None and value != "":
            command.stdout.write(f"{name.replace('_', ' '):22} {_text(name, value)}")
    for step, found in outcomes.items():
        if found:
            counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(found.items()))
            command.stdout.write(f"{step + ' outcomes':22} {counts}")
    if drain:
        command.stdout.write(f"{'ingest':22} {forecast_text(drain)}")
    for line in showing.failure_reasons(why):
        command.stdout.write(line)
    print_uncertain(command, batch, outcomes["upload"].get("uncertain", 0))
    # Each begins with its time.
    for line in sorted((*showing.step_lines(batch), *showing.check_lines(batch)), key=lambda line: line[:19]):
        command.stdout.write(line)
    return 0


def _text(name: str, value: Any) -> str:  # noqa: ANN401 - a value of a row
    if name == "ingest_duration":
        return format_duration(value)
    return format_time(value) if hasattr(value, "tzinfo") else str(value)


def _objects_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV, with the key of each object")
    form.add_argument("--json", action="store_true", help="print one JSON document, with the key of each object")


def _objects(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch = get_batch(options["bid"])
    if options["csv"]:
        remaining.write_csv(command.stdout, objects_of(batch))
    elif options["json"]:
        _write_objects_as_json(command, batch.bid)
    else:
        if note := store_changed_note(batch):
            command.stdout.write(note)
        found = iter(objects_of(batch))
        listed = list(islice(found, LISTED))
        if listed:
            for line in text_table(("identifier", "path", "action", "bytes", "put", "age"), map(_cells, listed)):
                command.stdout.write(line)
        more = sum(1 for _ in found)
        command.stdout.write(f"{pluralize(len(listed) + more, 'object')} of {batch} left.")
        if more:
            command.stdout.write(f"{more} of them are not shown: --csv and --json name them all.")
    return 0


def _write_objects_as_json(command: FnloaderCommand, which: str) -> None:
    """A list, written as it is read: there may be a million."""
    now, before = timezone.now(), "["
    for one in objects_of(get_batch(which)):
        facts = dict(zip(remaining.COLUMNS, one.cells(now), strict=True))
        command.stdout.write(before + "\n  " + json.dumps(facts, ensure_ascii=False), ending="")
        before = ","
    command.stdout.write("[]" if before == "[" else "\n]")


def _cells(one: RemainingObject) -> tuple[object, ...]:
    age = format_duration(timezone.now() - one.created) if one.created else ""
    return (printable(one.identifier), printable(one.path), one.action, one.size, format_time(one.created), age)


SUBCOMMANDS = [
    Subcommand(
        "list",
        "all batches that are not archived",
        "exit status: 0; 2 wrong usage",
        _list_arguments,
        _list,
    ),
    Subcommand(
        "show",
        "all about one batch, and what was done with it",
        "exit status: 0; 1 unknown batch; 2 wrong usage",
        _show_arguments,
        _show,
    ),
    Subcommand(
        "objects",
        "what is left of a batch in its bucket, decoded",
        "exit status: 0; 1 unknown batch, or the bucket could not be listed; 2 wrong usage",
        _objects_arguments,
        _objects,
    ),
]
