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
from batches.remaining import RemainingSummary, summary
from core.commands import FAILED, CommandError, CommandParser, FnloaderCommand
from core.formatting import format_duration, pluralize, printable
from core.processes import os_user
from core.progress import Progress
from core.subcommands import Subcommand, add_confirmation_arguments


def _rollback_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    parser.add_argument("what", choices=["upload", "ingest"], help="the step whose outcome is taken back")
    add_confirmation_arguments(parser)


def _rollback(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch = get_batch(options["bid"])
    ingest = options["what"] == "ingest"
    would = _describe_ingest_rollback(batch) if ingest else _describe_upload_rollback(batch)
    if options["dry_run"]:
        command.stdout.write(f"Would take back {would}.")
        return 0
    if not command.confirmed(f"Take back {would}?", yes=options["yes"]):
        return FAILED
    if ingest:
        rollback_ingest(get_batch(options["bid"]), who=os_user())
        command.stdout.write(f"{batch}: taken back. Its checks stay in its history. Next: manage.py ingstat {batch}")
    else:
        taken = rollback_upload(get_batch(options["bid"]), who=os_user())
        resend = " --resend-uncertain" if taken.uncertain and not taken.to_send else ""
        command.stdout.write(
            f"{batch}: taken back. Its uploads stay in its history. Next: manage.py batch upload {batch}{resend}"
        )
    return 0


def _describe_ingest_rollback(batch: Batch) -> str:
    number = count_ingest_rollback(batch)
    return f"the result of {batch} and the ingest outcome of {pluralize(number, 'record')}"


def _describe_upload_rollback(batch: Batch) -> str:
    taken = count_upload_rollback(batch)
    gone = (
        f"; {pluralize(taken.uncertain, 'record')} may have been ingested and will be uncertain"
        if taken.uncertain
        else ""
    )
    return f"the upload of {batch}: {pluralize(taken.to_send, 'record')} to be sent again{gone}"


def _clear_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    parser.add_argument(
        "--even-if-ingesting",
        action="store_true",
        help="also while its ingest is not known to be over: what is deleted may then have been ingested all the same",
    )
    add_confirmation_arguments(parser)


def _clear(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch, even = get_batch(options["bid"]), options["even_if_ingesting"]
    ensure_clearable(batch, even_if_ingesting=even)
    found = summary(batch)
    _print_remaining(command, batch, found)
    if not found.number or options["dry_run"]:
        return 0
    if not command.confirmed(f"Delete what is left of {batch} in {found.store}?", yes=options["yes"]):
        return FAILED
    with Progress(command.stdout, f"clearing {batch}") as progress:
        try:
            # Read again: somebody may have taken minutes to answer.
            done = clear(get_batch(options["bid"]), who=os_user(), even_if_ingesting=even, tell=progress.show)
        except OSError as error:
            raise CommandError(f"Nothing was deleted, for the list of it could not be written: {error}") from error
    command.stdout.write(f"{batch}: {pluralize(done.objects, 'object')} deleted, {done.records} of its records.")
    if done.path:
        command.stdout.write(f"  What they were: {done.path}")
    return 0


def _print_remaining(command: FnloaderCommand, batch: Batch, found: RemainingSummary) -> None:
    if not found.number:
        command.stdout.write(f"Nothing of {batch} is left in {found.store}.")
        return
    age = f", put {_age_text(found)}" if found.oldest else ""
    command.stdout.write(
        f"{pluralize(found.number, 'object')} of {batch} left in {found.store}, {found.size:,} bytes{age}:"
    )
    for one in found.examples:
        command.stdout.write(f"  {printable(one.identifier)} ({one.action} {printable(one.path)}, {one.size:,} bytes)")
    if found.number > len(found.examples):
        command.stdout.write(f"  … and {found.number - len(found.examples):,} more: manage.py batch objects {batch}")


def _age_text(found: RemainingSummary) -> str:
    now = timezone.now()
    oldest, newest = (format_duration(now - when) for when in (found.oldest or now, found.newest or now))
    return f"{oldest} ago" if oldest == newest else f"{oldest} to {newest} ago"


def _archive_arguments(parser: CommandParser) -> None:
    parser.add_argument("bid", metavar="BID", nargs="?", help="id of the batch")
    parser.add_argument("--done", action="store_true", help="all that are ingested and of which no object is left")
    parser.add_argument("--undo", action="store_true", help="take the batch out of the archive")
    parser.add_argument(
        "--even-if-ingesting", action="store_true", help="also a batch whose ingest is not known to be over"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")


def _archive(command: FnloaderCommand, options: dict[str, Any]) -> int:
    if bool(options["bid"]) == options["done"] or (options["done"] and options["undo"]):
        command.usage("Give the id of a batch, or --done; --undo goes with an id.")
    dry: bool = options["dry_run"]
    would = "would be " if dry else ""
    if options["done"]:
        return _archive_done(command, would, dry_run=dry)
    batch = get_batch(options["bid"])
    if options["undo"]:
        archive.unarchive(batch, who=os_user(), dry_run=dry)
        command.stdout.write(f"{batch} {would}taken out of the archive.")
        return 0
    archive.archive(batch, who=os_user(), even_if_ingesting=options["even_if_ingesting"], dry_run=dry)
    command.stdout.write(f"{batch} {would}archived: `manage.py batch list --archived` shows it.")
    return 0


def _archive_done(command: FnloaderCommand, would: str, *, dry_run: bool) -> int:
    result = archive.archive_done(who=os_user(), dry_run=dry_run)
    names = f": {' '.join(result.archived)}" if result.archived else ""
    number = len(result.archived)
    command.stdout.write(f"{number} {'batch' if number == 1 else 'batches'} {would}archived{names}.")
    for which, objects in result.with_objects:
        command.stdout.write(
            f"  {which} stays: {pluralize(objects, 'object')} left. `manage.py batch clear {which}` deletes them,"
            f" `manage.py batch archive {which}` archives it as it is."
        )
    return 0


SUBCOMMANDS = [
    Subcommand(
        "rollback",
        "take the outcome of a step back, so that it can be done again; its history stays",
        "exit status: 0 taken back; 1 refused, nothing was changed; 2 wrong usage",
        _rollback_arguments,
        _rollback,
    ),
    Subcommand(
        "clear",
        "delete what is left of a batch in its bucket, and keep a CSV of it under REPORTS_DIR",
        "exit status: 0 deleted, or nothing was left; 1 refused, or it could not go on: run it again; 2 wrong usage",
        _clear_arguments,
        _clear,
    ),
    Subcommand(
        "archive",
        "put finished batches out of the way; nothing is deleted",
        "exit status: 0 archived; 1 refused, nothing was changed; 2 wrong usage",
        _archive_arguments,
        _archive,
    ),
]
