"""`batch add`, `batch upload` and `batch duplicates`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import OutputWrapper

from batches.choices import UploadOutcome
from batches.cli.arguments import add_batch_argument, print_uncertain
from batches.models import Batch
from batches.querysets import get_batch
from batches.store import store_changed_note
from batches.upload import duplicates
from batches.upload.duplicates import DuplicateSummary
from batches.upload.put import PutResult
from batches.upload.run import UploadResult, plan_upload, upload_batch
from core.commands import CommandError, CommandParser, FnloaderCommand
from core.formatting import pluralize
from core.logs import log_context
from core.processes import os_user
from core.progress import Progress
from core.subcommands import Subcommand

SOME_FAILED = 10


def _upload_arguments(parser: CommandParser) -> None:
    add_batch_argument(parser)
    parser.add_argument(
        "--resend-uncertain",
        action="store_true",
        help="also send records again that may have been ingested already: look them up in CollectionSpace first",
    )
    parser.add_argument(
        "--duplicates",
        choices=["ask", "send", "refuse"],
        default="ask",
        help="what to do when another batch of the record type creates some of the records, too; all are named first"
        " (default: ask at a terminal, elsewhere send)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, send nothing")


def _upload(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch, resend = get_batch(options["bid"]), options["resend_uncertain"]
    if note := store_changed_note(batch):
        command.stdout.write(note)
    if options["dry_run"]:
        would = plan_upload(batch, resend_uncertain=resend)
        command.stdout.write(f"{pluralize(would.to_send, 'record')} of {batch} would be sent to {would.store}.")
        if would.unclear:
            command.stdout.write(
                f"{pluralize(would.unclear, 'record')} whose upload ended unclearly would be looked for."
            )
        _confirm_duplicates(command, batch, "send")(duplicates.check_duplicates(batch))
        return 0
    with Progress(command.stdout, f"uploading {batch}") as progress, log_context(batch=batch.bid):
        meter = _UploadProgress(command.stdout, progress)
        result = upload_batch(
            batch,
            resend_uncertain=resend,
            who=os_user(),
            may=_confirm_duplicates(command, batch, options["duplicates"]),
            begin=meter.begin,
            tell=meter.tell,
        )
    return _print_result(command, batch, result)


def _confirm_duplicates(command: FnloaderCommand, batch: Batch, do: str) -> Callable[[DuplicateSummary], bool]:
    """Names the duplicates, and says whether to go on."""

    def may(found: DuplicateSummary) -> bool:
        if found.records:
            for line in duplicates.duplicate_lines(batch, found):
                command.stdout.write(line)
        if do == "ask" and found.records and sys.stdin and sys.stdin.isatty():
            return command.confirmed(f"Send {batch} all the same?", yes=False)
        return do != "refuse"

    return may


def _print_result(command: FnloaderCommand, batch: Batch, result: UploadResult) -> int:
    counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(result.outcomes.items()))
    command.stdout.write(f"{batch}: {counts}.")
    if result.recovered:
        command.stdout.write(f"  {pluralize(result.recovered, 'record')} of a run that was cut off had arrived.")
    print_uncertain(command, batch, result.outcomes.get("uncertain", 0))
    left = result.number_unfinished
    if left:
        why = f" It stopped: {result.stopped}" if result.stopped else ""
        raise CommandError(
            f"The upload of {batch} is unfinished, {pluralize(left, 'record')} left to send.{why}\n"
            f"Run `manage.py batch upload {batch}` again."
        )
    if not result.outcomes.get("success") and not result.outcomes.get("uncertain"):
        raise CommandError(f"Nothing of {batch} was uploaded: `manage.py batch show {batch}` says why.")
    if result.errors:
        command.stdout.write(
            f"  Why: manage.py batch show {batch}. To try those that failed again: batch upload {batch}"
        )
        return SOME_FAILED
    command.stdout.write(f"Next: manage.py ingstat {batch}")
    return 0


def _duplicates(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch, number = get_batch(options["bid"]), 0
    for one in duplicates.find_duplicates(batch):
        command.stdout.write(str(one))
        number += 1
    command.stdout.write(f"{pluralize(number, 'duplicate')} of {batch} in other batches of {batch.rectype}.")
    return 0


class _UploadProgress:
    """Counts what an upload does with its records."""

    def __init__(self, out: OutputWrapper, progress: Progress) -> None:
        self._out, self._progress = out, progress
        self._total = self._done = self._failed = 0

    def begin(self, total: int) -> None:
        self._total = total
        self._out.write(f"{pluralize(total, 'record')} to send")
        self._progress.show(0, total)

    def tell(self, sent: PutResult) -> None:
        self._done += 1
        self._failed += sent.outcome is not UploadOutcome.SUCCESS
        self._progress.show(self._done, self._total, f", {self._failed} of them not uploaded" if self._failed else "")


SUBCOMMANDS = [
    Subcommand(
        "upload",
        "put the objects of a batch into BATCH_STORE_URL",
        "exit status: 0 all are uploaded; 10 some failed or are uncertain; 1 refused, or it could not go on; 2 wrong"
        " usage. A run that was cut off is taken up where it ended: run it again.",
        _upload_arguments,
        _upload,
    ),
    Subcommand(
        "duplicates",
        "records of a batch that other batches of its record type create, too",
        "exit status: 0; 1 unknown batch; 2 wrong usage",
        add_batch_argument,
        _duplicates,
    ),
]
