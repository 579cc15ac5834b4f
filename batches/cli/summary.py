"""`batch summary`: what became of all records of some batches, in numbers that add up."""

from __future__ import annotations

import argparse
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from batches.cli import facts
from batches.models import Batch
from batches.querysets import get_batch, select_batches
from batches.reports.failure_causes import failure_causes
from batches.reports.rates import compared, ingest_rate, usual_rate
from batches.reports.sheet import COUNT_NAMES, BatchSheet, RecordCounts, batch_sheets, sheet_rows, total
from batches.tags import tag_name, tags_of
from core.commands import CommandParser, FnloaderCommand
from core.files import CsvWriter
from core.formatting import format_duration, format_time, pluralize, printable, text_table
from core.subcommands import Subcommand, write_json

LABELS = {name: name.replace("_", " ") for name in COUNT_NAMES}


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date: use 2026-03-31") from error


def _arguments(parser: CommandParser) -> None:
    parser.add_argument("bids", nargs="*", metavar="BID", help="ids of batches (default: all, also archived ones)")
    parser.add_argument(
        "--from", dest="since", type=_day, metavar="DATE", help="only batches added on this day or later"
    )
    parser.add_argument(
        "--to", dest="until", type=_day, metavar="DATE", help="only batches added on this day or before"
    )
    parser.add_argument("--rectype", help="only batches of this record type")
    parser.add_argument("--tag", help="only batches with this tag")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--csv", action="store_true", help="print CSV, a row for each batch")
    output.add_argument("--json", action="store_true", help="print one JSON document")


def _summary(command: FnloaderCommand, options: dict[str, Any]) -> int:
    for bid in options["bids"]:
        get_batch(bid)
    batches = _selected(options)
    if options["csv"]:
        CsvWriter(command.stdout.document).writerows(sheet_rows(batch_sheets(batches)))
        return 0
    sheets = list(batch_sheets(batches))
    if options["json"]:
        write_json(command, {"batches": [sheet.facts() for sheet in sheets], "total": total(sheets).facts()})
    elif not sheets:
        command.stdout.write("No matching batches.")
    elif len(sheets) == 1:
        _print_one(command, sheets[0])
    else:
        _print_all(command, sheets)
    return 0


def _selected(options: dict[str, Any]) -> QuerySet[Batch]:
    batches = select_batches(archived=None).order_by("added_at", "pk")
    if options["bids"]:
        batches = batches.filter(bid__in=options["bids"])
    if options["since"]:
        batches = batches.filter(added_at__gte=_midnight(options["since"]))
    if options["until"]:
        batches = batches.filter(added_at__lt=_midnight(options["until"] + timedelta(days=1)))
    if options["rectype"]:
        batches = batches.filter(rectype=options["rectype"])
    return batches.filter(tags__name=tag_name(options["tag"])) if options["tag"] else batches


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def _print_one(command: FnloaderCommand, sheet: BatchSheet) -> None:
    batch, write = sheet.batch, command.stdout.write
    tags = f", {printable(', '.join(tags_of(batch)))}" if tags_of(batch) else ""
    write(f"{batch}: {batch.rectype}, {batch.get_action_display()}, {batch.status}{tags}")
    for line in _equations(sheet.counts):
        write(line)
    for difference in sheet.differences:
        write(f"  DIFFERENCE {difference}")
    times = (
        ("added", format_time(batch.added_at)),
        ("uploaded", format_time(batch.uploaded_at)),
        ("ingest", f"{format_time(batch.ingest_start_time)} to {format_time(batch.ingest_complete_time)}"),
        ("duration", format_duration(batch.ingest_duration)),
    )
    for name, text in times if batch.uploaded_at else times[:1]:
        write(f"{name:22} {text}")
    if rate := ingest_rate(batch):
        comparison = compared(batch, usual_rate(batch))
        write(f"{'records a minute':22} {rate:,.1f}{', ' if comparison else ''}{comparison}")
    for line in facts.failure_reasons(failure_causes(batch)):
        write(line)
    for line in facts.step_lines(batch):
        write(line)


def _print_all(command: FnloaderCommand, sheets: list[BatchSheet]) -> None:
    write, counts = command.stdout.write, total(sheets)
    used = [name for name in COUNT_NAMES if counts.facts()[name]]
    header = ["id", "record type", *(LABELS[name] for name in used), "duration"]
    rows = [
        [
            sheet.batch.bid,
            sheet.batch.rectype,
            *(sheet.counts.facts()[name] for name in used),
            format_duration(sheet.batch.ingest_duration),
        ]
        for sheet in sheets
    ]
    last = ["total", pluralize(len(sheets), "batch", "batches"), *(counts.facts()[name] for name in used), ""]
    for line in text_table(header, [*rows, last]):
        write(line)
    for line in _equations(counts):
        write(line)
    for sheet in sheets:
        for difference in sheet.differences:
            write(f"  DIFFERENCE {sheet.batch}, {difference}")


def _equations(counts: RecordCounts) -> list[str]:
    """The two sums as lines."""
    numbers = counts.facts()

    def line(name: str, parts: tuple[str, ...]) -> str:
        shown = [f"{numbers[part]:,} {LABELS[part]}" for part in parts if numbers[part]]
        return f"{numbers[name]:,} {LABELS[name]}" + (f" = {' + '.join(shown)}" if shown else "")

    lines = [
        line("records", ("not_mapped", "not_uploaded", "to_upload", "uploaded")),
        line("uploaded", ("in_ingest", "ingested", "failed", "cleared", "uncertain")),
    ]
    if counts.corrected or counts.open:
        lines.append(
            f"{counts.corrected + counts.open:,} failed in any step = {counts.corrected:,} corrected + {counts.open:,} open"
        )
    if counts.retried:
        lines.append(f"{counts.retried:,} tried again and again: look for duplicates in CollectionSpace")
    return lines


SUBCOMMANDS = [
    Subcommand(
        "summary",
        "sum up what became of the records of one or more batches, with a line for each number that does not add up",
        "exit status: 0; 1 unknown batch; 2 invalid arguments",
        _arguments,
        _summary,
    ),
]
