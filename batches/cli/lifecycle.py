"""`batch rollback`, `batch clear` and `batch archive`."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from batches.cli.arguments import add_batch_argument
from batches.lifecycle import archive
from batches.lifecycle.clear import clear, ensure_clearable
from batches.lifecycle.rollback import count_ingest_rollback, count_upload_rollback, rollback_ingest, rollback_upload
from batches.models import Batch
from batches.querysets import get_batch
from batches.remaining import RemainingSummary, forget_retried, summarize_remaining
from core.commands import FAILED, CommandError, CommandParser, FnloaderCommand
from core.formatting import format_duration, pluralize, printable
from core.processes import os_user
from core.progress import Progress
from core.subcommands import Subcommand, add_confirmation_arguments


def _rollback_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    parser.add_argument("what", choices=["upload", "ingest"], help="the step to undo")
    add_confirmation_arguments(parser)


def _rollback(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch = get_batch(options["bid"])
    ingest = options["what"] == "ingest"
    if ingest:
        records = pluralize(count_ingest_rollback(batch), "record")
        action = f"undo the result of {batch} and the ingest outcome of {records}"
    else:
        plan = count_upload_rollback(batch)
        action = f"undo the upload of {batch}: {pluralize(plan.to_send, 'record')} to send again"
        if plan.uncertain:
            action += f"; {pluralize(plan.uncertain, 'record')} may have been ingested and will be uncertain"
    if options["dry_run"]:
        command.stdout.write(f"Would {action}.")
        return 0
    if not command.confirmed(f"{action[0].upper()}{action[1:]}?", yes=options["yes"]):
        return FAILED
    if ingest:
        rollback_ingest(get_batch(options["bid"]), who=os_user())
        command.stdout.write(f"{batch}: ingest result undone; its checks stay in the history.")
        command.stdout.write(f"Next: manage.py ingstat {batch}")
    else:
        result = rollback_upload(get_batch(options["bid"]), who=os_user())
        resend = " --resend-uncertain" if result.uncertain and not result.to_send else ""
        command.stdout.write(f"{batch}: upload undone; its uploads stay in the history.")
        command.stdout.write(f"Next: manage.py batch upload {batch}{resend}")
    return 0


def _clear_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    parser.add_argument(
        "--even-if-ingesting",
        action="store_true",
        help="also while it may still be ingesting: objects that are deleted may then have been ingested anyway",
    )
    parser.add_argument(
        "--retried",
        action="store_true",
        help="only objects of records that are tried again and again (put again after the upload, there again after they"
        " were ingested, or tried far more often than others)",
    )
    add_confirmation_arguments(parser)


def _clear(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch, even, retried = get_batch(options["bid"]), options["even_if_ingesting"], options["retried"]
    ensure_clearable(batch, even_if_ingesting=even)
    found = summarize_remaining(batch, retried=retried)
    _print_remaining(command, batch, found, "retried object" if retried else "object")
    if options["dry_run"]:
        return 0
    if not found.number:
        forget_retried(batch)
        return 0
    if not command.confirmed(
        f"Delete {pluralize(found.number, 'object')} of {batch} from {found.store}?", yes=options["yes"]
    ):
        return FAILED
    with Progress(command.stdout, f"clearing {batch}") as progress:
        try:
            # Read again, because the user may have taken minutes to answer.
            result = clear(
                get_batch(options["bid"]),
                who=os_user(),
                even_if_ingesting=even,
                only_retried=retried,
                on_progress=progress.show,
            )
        except OSError as error:
            raise CommandError(f"Nothing was deleted: the list of objects could not be written: {error}") from error
    command.stdout.write(
        f"{batch}: {pluralize(result.objects, 'object')} deleted, of {pluralize(result.records, 'record')}."
    )
    if result.path:
        command.stdout.write(f"  List: {result.path}")
    if result.kept_text:
        command.stderr.write(result.kept_text)
    return FAILED if result.kept else 0


def _print_remaining(command: FnloaderCommand, batch: Batch, found: RemainingSummary, noun: str) -> None:
    if not found.number:
        command.stdout.write(f"No {noun}s of {batch} remain in {found.store}.")
        return
    age = ""
    if found.oldest:
        now = timezone.now()
        oldest, newest = (format_duration(now - time) for time in (found.oldest, found.newest or now))
        age = f", uploaded {oldest} ago" if oldest == newest else f", uploaded {oldest} to {newest} ago"
    command.stdout.write(
        f"{pluralize(found.number, noun)} of {batch} remaining in {found.store}, {found.size:,} bytes{age}:"
    )
    for item in found.examples:
        command.stdout.write(
            f"  {printable(item.identifier)} ({item.action} {printable(item.path)}, {item.size:,} bytes)"
        )
    if found.number > len(found.examples):
        option = " --retried" if noun.startswith("retried") else ""
        more = found.number - len(found.examples)
        command.stdout.write(f"  … and {more:,} more: manage.py batch objects {batch}{option}")


def _archive_arguments(parser: CommandParser) -> None:
    parser.add_argument("bid", metavar="BID", nargs="?", help="id of the batch")
    parser.add_argument(
        "--done", action="store_true", help="all batches that are ingested and have no remaining objects"
    )
    parser.add_argument("--undo", action="store_true", help="unarchive the batch")
    parser.add_argument("--even-if-ingesting", action="store_true", help="also if it may still be ingesting")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, change nothing")


def _archive(command: FnloaderCommand, options: dict[str, Any]) -> int:
    if bool(options["bid"]) == options["done"] or (options["done"] and options["undo"]):
        command.usage("Give the id of a batch, or --done; --undo needs an id.")
    dry: bool = options["dry_run"]
    would = "would be " if dry else ""
    if options["done"]:
        summary = archive.archive_done(who=os_user(), dry_run=dry)
        bids = f": {' '.join(summary.archived)}" if summary.archived else ""
        command.stdout.write(f"{pluralize(len(summary.archived), 'batch', 'batches')} {would}archived{bids}.")
        for bid, objects in summary.with_objects:
            command.stdout.write(
                f"  {bid} not archived: {pluralize(objects, 'object')} remaining. Delete them with `manage.py batch clear"
                f" {bid}`, or archive it anyway with `manage.py batch archive {bid}`."
            )
        return 0
    batch = get_batch(options["bid"])
    if options["undo"]:
        archive.unarchive(batch, who=os_user(), dry_run=dry)
        command.stdout.write(f"{batch} {would}unarchived.")
        return 0
    archive.archive(batch, who=os_user(), even_if_ingesting=options["even_if_ingesting"], dry_run=dry)
    command.stdout.write(f"{batch} {would}archived. To list archived batches: manage.py batch list --archived")
    return 0


SUBCOMMANDS = [
    Subcommand(
        "rollback",
        "undo a step, so that it can be repeated; its history stays",
        "exit status: 0 undone; 1 refused, nothing changed; 2 invalid arguments",
        _rollback_arguments,
        _rollback,
    ),
    Subcommand(
        "clear",
        "delete the remaining objects of a batch from its bucket; a CSV in REPORTS_DIR lists them",
        "exit status: 0 deleted, or nothing to delete; 1 refused, or failed: run it again; 2 invalid arguments",
        _clear_arguments,
        _clear,
    ),
    Subcommand(
        "archive",
        "hide batches that are done; nothing is deleted",
        "exit status: 0 archived; 1 refused, nothing changed; 2 invalid arguments",
        _archive_arguments,
        _archive,
    ),
]
