"""`batch add`, `batch upload` and `batch duplicates`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import OutputWrapper

from batches import duplicates, showing
from batches.adding import add
from batches.choices import Action, UploadOutcome
from batches.commands import Step, bid
from batches.duplicates import Duplicates
from batches.ingest import find
from batches.models import Batch
from batches.places import moved
from batches.sending import Sent
from batches.uploading import Uploaded, plan, upload
from core.commands import CommandError, CommandParser, FnloaderCommand
from core.formatting import pluralize
from core.logs import log_context
from core.processes import os_user
from core.progress import Progress

SOME_FAILED = 10


def _add_arguments(parser: CommandParser) -> None:
    parser.add_argument("bid", metavar="BID", help="its id: 1 to 6 letters and digits")
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="files to send, identifier = file name without its ending; or a folder with a mapper_report.csv",
    )
    parser.add_argument("--rectype", default="collectionobject", help="record type (default: collectionobject)")
    parser.add_argument(
        "--action",
        choices=[action.lower() for action in Action.values],
        help="what the ingest does with each record (default: create; a mapper's report says it itself)",
    )
    parser.add_argument(
        "--path",
        default="/collectionobjects",
        help="services path of the records of a plain folder (default: /collectionobjects)",
    )
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, add nothing")


def _add(command: FnloaderCommand, options: dict[str, Any]) -> int:
    action = options["action"] and options["action"].upper()
    batch, added = add(
        options["bid"],
        options["folder"],
        rectype=options["rectype"],
        action=action,
        path=options["path"],
        who=os_user(),
        dry_run=options["dry_run"],
    )
    done = "would be added" if options["dry_run"] else "added"
    command.stdout.write(
        f"{batch} {done}: {pluralize(added.records, 'record')} to {batch.get_action_display()}, {added.sendable} to send,"
        f" {added.unuploadable} unuploadable, {added.map_errs} with a failed mapping."
    )
    if not options["dry_run"]:
        command.stdout.write(f"Next: manage.py batch upload {batch}")
    return 0


def _upload_arguments(parser: CommandParser) -> None:
    bid(parser)
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
    batch, resend = find(options["bid"]), options["resend_uncertain"]
    if note := moved(batch):
        command.stdout.write(note)
    if options["dry_run"]:
        would = plan(batch, resend_uncertain=resend)
        command.stdout.write(f"{pluralize(would.to_send, 'record')} of {batch} would be sent to {would.store}.")
        if would.unclear:
            command.stdout.write(
                f"{pluralize(would.unclear, 'record')} whose upload ended unclearly would be looked for."
            )
        _may_send(command, batch, "send")(duplicates.check(batch))
        return 0
    with Progress(command.stdout, f"uploading {batch}") as progress, log_context(batch=batch.bid):
        meter = _Meter(command.stdout, progress)
        result = upload(
            batch,
            resend_uncertain=resend,
            who=os_user(),
            may=_may_send(command, batch, options["duplicates"]),
            begin=meter.begin,
            tell=meter.tell,
        )
    return _say_uploaded(command, batch, result)


def _may_send(command: FnloaderCommand, batch: Batch, do: str) -> Callable[[Duplicates], bool]:
    """Names the duplicates, and says whether to go on."""

    def may(found: Duplicates) -> bool:
        if found.records:
            for line in duplicates.lines(batch, found):
                command.stdout.write(line)
        if do == "ask" and found.records and sys.stdin and sys.stdin.isatty():
            return command.confirmed(f"Send {batch} all the same?", yes=False)
        return do != "refuse"

    return may


def _say_uploaded(command: FnloaderCommand, batch: Batch, result: Uploaded) -> int:
    counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(result.outcomes.items()))
    command.stdout.write(f"{batch}: {counts}.")
    if result.recovered:
        command.stdout.write(f"  {pluralize(result.recovered, 'record')} of a run that was cut off had arrived.")
    say_uncertain(command, batch, result.outcomes.get("uncertain", 0))
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


def say_uncertain(command: FnloaderCommand, batch: Batch, number: int) -> None:
    """Names the records that may have been ingested; nothing where there are none."""
    if not number:
        return
    command.stdout.write(f"  {pluralize(number, 'record')} may have been ingested, or never sent:")
    for one in islice(showing.uncertain(batch), showing.NAMED):
        command.stdout.write(f"    row {one['row']}: {one['identifier']} ({one['action']})")
    if number > showing.NAMED:
        command.stdout.write(f"    … and {number - showing.NAMED} more: manage.py batch show {batch} --json")
    command.stdout.write("  Look them up in CollectionSpace. To send them again all the same: --resend-uncertain")


def _duplicates(command: FnloaderCommand, options: dict[str, Any]) -> int:
    batch, number = find(options["bid"]), 0
    for one in duplicates.find(batch):
        command.stdout.write(str(one))
        number += 1
    command.stdout.write(f"{pluralize(number, 'duplicate')} of {batch} in other batches of {batch.rectype}.")
    return 0


class _Meter:
    """Counts what an upload does with its records."""

    def __init__(self, out: OutputWrapper, progress: Progress) -> None:
        self._out, self._progress = out, progress
        self._total = self._done = self._failed = 0

    def begin(self, total: int) -> None:
        self._total = total
        self._out.write(f"{pluralize(total, 'record')} to send")
        self._progress.show(0, total)

    def tell(self, sent: Sent) -> None:
        self._done += 1
        self._failed += sent.outcome is not UploadOutcome.SUCCESS
        self._progress.show(self._done, self._total, f", {self._failed} of them not uploaded" if self._failed else "")


STEPS = [
    Step(
        "add",
        "a batch from a folder of files, or a batch folder with its mapper_report.csv",
        "exit status: 0 added; 1 refused, nothing was added; 2 wrong usage",
        _add_arguments,
        _add,
    ),
    Step(
        "upload",
        "put the objects of a batch into BATCH_STORE_URL",
        "exit status: 0 all are uploaded; 10 some failed or are uncertain; 1 refused, or it could not go on; 2 wrong"
        " usage. A run that was cut off is taken up where it ended: run it again.",
        _upload_arguments,
        _upload,
    ),
    Step(
        "duplicates",
        "records of a batch that other batches of its record type create, too",
        "exit status: 0; 1 unknown batch; 2 wrong usage",
        bid,
        _duplicates,
    ),
]
