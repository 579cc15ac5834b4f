"""`batch upload` and `batch duplicates`."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from batches.cli import upload_queue
from batches.cli.arguments import add_batch_argument, print_uncertain
from batches.cli.upload_output import SOME_FAILED, UploadProgress, confirm_duplicates
from batches.ingest.rule import WATCHED
from batches.models import Batch
from batches.querysets import get_batch
from batches.store import store_changed_note
from batches.upload import duplicates
from batches.upload.run import UploadResult, plan_upload, upload_batch
from batches.upload_queue.run import waits_until
from core.commands import CommandError, CommandParser, FnloaderCommand, at_least_one, seconds
from core.formatting import pluralize
from core.logs import log_context
from core.processes import os_user
from core.progress import Progress
from core.subcommands import Subcommand


def _upload_arguments(parser: CommandParser) -> None:
    parser.add_argument("bid", metavar="BID", nargs="*", help="id of the batch; several are queued")
    parser.add_argument(
        "--all-mapped", action="store_true", help="queue all batches that wait for their upload, the oldest first"
    )
    queue = parser.add_argument_group("several batches")
    queue.add_argument(
        "--at-once",
        type=at_least_one,
        default=1,
        metavar="N",
        help="start the upload of a queued batch while fewer than N are being uploaded or ingested (default: 1)",
    )
    queue.add_argument(
        "--sleep", type=seconds, default=WATCHED.sleep, help="seconds between two counts, as for ingstat --watch"
    )
    queue.add_argument(
        "--rechecks",
        type=at_least_one,
        help="how many more counts must find no change once one found none, as for ingstat --watch",
    )
    parser.add_argument(
        "--resend-uncertain",
        action="store_true",
        help="also send records again that may have been ingested; look them up in CollectionSpace first",
    )
    parser.add_argument(
        "--duplicates",
        choices=["ask", "send", "refuse"],
        default="ask",
        help="what to do if another batch of the record type creates some of the records, too; they are listed first"
        " (default: ask at a terminal, otherwise send)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be sent, send nothing")


def _upload(command: FnloaderCommand, options: dict[str, Any]) -> int:
    bids, resend = options["bid"], options["resend_uncertain"]
    if bool(bids) == options["all_mapped"]:
        command.usage("Give the id of a batch, or several, or --all-mapped.")
    if options["all_mapped"] or len(bids) > 1:
        if resend:
            command.usage("--resend-uncertain needs exactly one id.")
        return upload_queue.work_through(command, options)
    batch = get_batch(bids[0])
    for note in (store_changed_note(batch), *duplicates.late_ingest_notes(batch)):
        if note:
            command.stdout.write(note)
    if options["dry_run"]:
        plan = plan_upload(batch, resend_uncertain=resend)
        command.stdout.write(f"{pluralize(plan.to_send, 'record')} of {batch} would be sent to {plan.store}.")
        if plan.unclear:
            command.stdout.write(f"{pluralize(plan.unclear, 'record')} with an unclear upload would be looked for.")
        confirm_duplicates(command, batch, "send")(duplicates.check_duplicates(batch))
        return 0
    if waits_until():
        command.stdout.write(
            f"It is outside of UPLOAD_HOURS ({settings.UPLOAD_HOURS.text}), which only hold for the queue."
        )
    with Progress(command.stdout, f"uploading {batch}") as progress, log_context(batch=batch.bid):
        upload_progress = UploadProgress(command.stdout, progress)
        result = upload_batch(
            batch,
            resend_uncertain=resend,
            who=os_user(),
            confirm=confirm_duplicates(command, batch, options["duplicates"]),
            on_start=upload_progress.start,
            on_result=upload_progress.add,
        )
    return _print_result(command, batch, result)


def _print_result(command: FnloaderCommand, batch: Batch, result: UploadResult) -> int:
    counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(result.outcomes.items()))
    command.stdout.write(f"{batch}: {counts}.")
    if result.recovered:
        command.stdout.write(
            f"  {pluralize(result.recovered, 'record')} of an upload that was cut off found in the bucket."
        )
    print_uncertain(command, batch, result.outcomes.get("uncertain", 0))
    if result.unfinished:
        reason = f" It stopped: {result.stop_reason}" if result.stop_reason else ""
        raise CommandError(
            f"The upload of {batch} is unfinished, {pluralize(result.unfinished, 'record')} not sent.{reason} "
            f"Run `manage.py batch upload {batch}` again."
        )
    if not result.outcomes.get("success") and not result.outcomes.get("uncertain"):
        raise CommandError(f"Nothing of {batch} was uploaded. To show why: manage.py batch show {batch}")
    if result.errors:
        command.stdout.write(
            f"  To show why: manage.py batch show {batch}. To try failed records again: manage.py batch upload {batch}"
        )
        return SOME_FAILED
    command.stdout.write(f"Next: manage.py ingstat {batch}")
    return 0


def _duplicates(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch, number = get_batch(options["bid"]), 0
    for duplicate in duplicates.find_duplicates(batch):
        command.stdout.write(str(duplicate))
        number += 1
    command.stdout.write(f"{pluralize(number, 'duplicate')} of {batch} in other batches of {batch.rectype}.")
    return 0


SUBCOMMANDS = [
    Subcommand(
        "upload",
        "upload a batch to BATCH_STORE_URL; several, or --all-mapped: upload each and follow its ingest to its end",
        "exit status: 0 all uploaded; 10 some failed or are uncertain; 1 refused or unfinished; 2 invalid arguments. An"
        " upload that was cut off resumes where it ended: run it again. Several: 0 all complete; 10 some records failed;"
        " 1 the queue stopped (UPLOAD_STOP_SHARE), or refused.",
        _upload_arguments,
        _upload,
    ),
    Subcommand(
        "duplicates",
        "list records that other batches of the record type create, too",
        "exit status: 0; 1 unknown batch; 2 invalid arguments",
        add_batch_argument,
        _duplicates,
    ),
]
