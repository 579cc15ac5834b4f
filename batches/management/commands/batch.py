"""`manage.py batch`: the life of a batch, a step at a time."""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder

from batches import showing
from batches.adding import add
from batches.choices import Action, BatchStatus, UploadOutcome
from batches.errors import ClaimLost, Refused
from batches.ingest import find
from batches.lines import at, lasting, many, table
from batches.models import Batch
from batches.owners import user_name
from batches.places import moved
from batches.rollback import rollback_ingest
from batches.sending import Sent
from batches.uploading import Uploaded, plan, upload
from fnloader_site.commands import FAILED, CommandError, CommandParser, FnloaderCommand
from fnloader_site.progress import Progress

SOME_FAILED = 10
STATUSES = {
    "add": "exit status: 0 added; 1 refused, nothing was added; 2 wrong usage",
    "upload": (
        "exit status: 0 all are uploaded; 10 some failed or are uncertain; 1 refused, or it could not go on; 2 wrong"
        " usage. A run that was cut off is taken up where it ended: run it again."
    ),
    "rollback": "exit status: 0 taken back; 1 refused, nothing was changed; 2 wrong usage",
    "list": "exit status: 0; 2 wrong usage",
    "show": "exit status: 0; 1 unknown batch; 2 wrong usage",
}


class Command(FnloaderCommand):
    """Each subcommand is one call of its core: batches.adding, uploading, showing."""

    help = "Adds batches, uploads them, and shows where they stand."

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser a subcommand."""
        steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
        one = self._step(steps, "add", "a batch from a folder of files, or a batch folder with its mapper_report.csv")
        one.add_argument("bid", metavar="BID", help="its id: 1 to 6 letters and digits")
        one.add_argument(
            "folder",
            type=Path,
            metavar="FOLDER",
            help="files to send, identifier = file name without its ending; or a folder with a mapper_report.csv",
        )
        one.add_argument("--rectype", default="collectionobject", help="record type (default: collectionobject)")
        one.add_argument(
            "--action",
            choices=[action.lower() for action in Action.values],
            help="what the ingest does with each record (default: create; a mapper's report says it itself)",
        )
        one.add_argument(
            "--path",
            default="/collectionobjects",
            help="services path of the records of a plain folder (default: /collectionobjects)",
        )
        one.add_argument("--dry-run", action="store_true", help="read and check everything, add nothing")
        one = self._step(steps, "upload", "put the objects of a batch into BATCH_STORE_URL")
        one.add_argument("bid", metavar="BID", help="id of the batch")
        one.add_argument(
            "--resend-uncertain",
            action="store_true",
            help="also send records again that may have been ingested already: look them up in CollectionSpace first",
        )
        one.add_argument("--dry-run", action="store_true", help="say what would be sent, send nothing")
        one = self._step(steps, "rollback", "take a result back, so that the step can be done again; its history stays")
        one.add_argument("bid", metavar="BID", help="id of the batch")
        one.add_argument("what", choices=["ingest"], help="the step whose result is taken back")
        one.add_argument("--yes", action="store_true", help="do not ask")
        one.add_argument("--dry-run", action="store_true", help="say what would be taken back, change nothing")
        one = self._step(steps, "list", "all batches that are not archived")
        one.add_argument("--status", choices=BatchStatus.values, help="only those of this status")
        one.add_argument("--archived", action="store_true", help="archived ones, too")
        one.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
        one = self._step(steps, "show", "all about one batch")
        one.add_argument("bid", metavar="BID", help="id of the batch")
        one.add_argument("--json", action="store_true", help="print one JSON document, with every uncertain record")

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Runs the step that is named."""
        steps = {
            "add": self._add,
            "upload": self._upload,
            "rollback": self._rollback,
            "list": self._list,
            "show": self._show,
        }
        try:
            return steps[options["step"]](options)
        except (Refused, ClaimLost) as error:
            raise CommandError(str(error)) from error

    def _step(self, steps: Any, name: str, what: str) -> CommandParser:  # noqa: ANN401 - argparse keeps the type private
        parser: CommandParser = steps.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            epilog=STATUSES[name],
            formatter_class=argparse.HelpFormatter,
        )
        return parser

    def _add(self, options: dict[str, Any]) -> int:
        action = options["action"] and options["action"].upper()
        batch, added = add(
            options["bid"],
            options["folder"],
            rectype=options["rectype"],
            action=action,
            path=options["path"],
            who=user_name(),
            dry_run=options["dry_run"],
        )
        done = "would be added" if options["dry_run"] else "added"
        self.stdout.write(
            f"{batch} {done}: {many(added.records, 'record')} to {batch.get_action_display()}, {added.sendable} to send,"
            f" {added.unuploadable} unuploadable, {added.map_errs} with a failed mapping."
        )
        if not options["dry_run"]:
            self.stdout.write(f"Next: manage.py batch upload {batch}")
        return 0

    def _upload(self, options: dict[str, Any]) -> int:
        batch, resend = find(options["bid"]), options["resend_uncertain"]
        if note := moved(batch):
            self.stdout.write(note)
        if options["dry_run"]:
            would = plan(batch, resend_uncertain=resend)
            self.stdout.write(f"{many(would.to_send, 'record')} of {batch} would be sent to {would.store}.")
            if would.unclear:
                self.stdout.write(f"{many(would.unclear, 'record')} whose upload ended unclearly would be looked for.")
            return 0
        with Progress(self.stdout, f"uploading {batch}") as progress:
            meter = _Meter(self.stdout, progress)
            result = upload(batch, resend_uncertain=resend, begin=meter.begin, tell=meter.tell)
        return self._say_uploaded(batch, result)

    def _say_uploaded(self, batch: Batch, result: Uploaded) -> int:
        counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(result.outcomes.items()))
        self.stdout.write(f"{batch}: {counts}.")
        if result.recovered:
            self.stdout.write(f"  {many(result.recovered, 'record')} of a run that was cut off had arrived.")
        self._say_uncertain(batch, result.outcomes.get("uncertain", 0))
        left = result.number_unfinished
        if left:
            why = f" It stopped: {result.stopped}" if result.stopped else ""
            raise CommandError(
                f"The upload of {batch} is unfinished, {many(left, 'record')} left to send.{why}\n"
                f"Run `manage.py batch upload {batch}` again."
            )
        if not result.outcomes.get("success") and not result.outcomes.get("uncertain"):
            raise CommandError(f"Nothing of {batch} was uploaded: `manage.py batch show {batch}` says why.")
        if result.errors:
            self.stdout.write(
                f"  Why: manage.py batch show {batch}. To try those that failed again: batch upload {batch}"
            )
            return SOME_FAILED
        self.stdout.write(f"Next: manage.py ingstat {batch}")
        return 0

    def _say_uncertain(self, batch: Batch, number: int) -> None:
        if not number:
            return
        self.stdout.write(f"  {many(number, 'record')} may have been ingested, or never sent:")
        for one in islice(showing.uncertain(batch), showing.NAMED):
            self.stdout.write(f"    row {one['row']}: {one['identifier']} ({one['action']})")
        if number > showing.NAMED:
            self.stdout.write(f"    … and {number - showing.NAMED} more: manage.py batch show {batch} --json")
        self.stdout.write("  Look them up in CollectionSpace. To send them again all the same: --resend-uncertain")

    def _rollback(self, options: dict[str, Any]) -> int:
        batch = find(options["bid"])
        number = rollback_ingest(batch, dry_run=True)
        would = f"the result of {batch} and the ingest outcome of {many(number, 'record')}"
        if options["dry_run"]:
            self.stdout.write(f"Would take back {would}.")
            return 0
        if not self.confirmed(f"Take back {would}?", yes=options["yes"]):
            return FAILED
        rollback_ingest(find(options["bid"]))
        self.stdout.write(f"{batch}: taken back. Its checks stay in its history. Next: manage.py ingstat {batch}")
        return 0

    def _list(self, options: dict[str, Any]) -> int:
        batches = Batch.objects.all() if options["archived"] else Batch.objects.filter(archived_at=None)
        if options["status"]:
            batches = batches.filter(status=options["status"])
        if options["json"]:
            self._json([showing.facts(batch) for batch in batches.iterator()])
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
                batch.status,
                batch.rectype,
                batch.get_action_display(),
                batch.record_count,
                batch.upload_oks,
                batch.upload_errs,
                batch.ingest_oks,
                batch.ingest_errs,
                lasting(batch.ingest_duration),
                at(batch.added_at),
            )
            for batch in batches.iterator()
        ]
        for line in table(header, rows) if rows else ["No batch. Add one with: manage.py batch add BID FOLDER"]:
            self.stdout.write(line)
        return 0

    def _show(self, options: dict[str, Any]) -> int:
        batch = find(options["bid"])
        facts, outcomes, causes = showing.facts(batch), showing.outcomes(batch), showing.causes(batch)
        if options["json"]:
            named = {"uncertain": list(showing.uncertain(batch)), "failed": list(showing.failed(batch))}
            self._json(facts | {"outcomes": outcomes, "causes": causes} | named)
            return 0
        for name, value in facts.items():
            if value is not None and value != "":
                self.stdout.write(f"{name.replace('_', ' '):22} {_text(name, value)}")
        for step, found in outcomes.items():
            if found:
                counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(found.items()))
                self.stdout.write(f"{step + ' outcomes':22} {counts}")
        for one in causes:
            self.stdout.write(f"  {many(one['records'], 'record')} {one['outcome']}: {one['message']}")
        self._say_uncertain(batch, outcomes["upload"].get("uncertain", 0))
        return 0

    def _json(self, document: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
        self.stdout.write(json.dumps(document, indent=2, cls=DjangoJSONEncoder, ensure_ascii=False))


class _Meter:
    """Counts what an upload does with its records."""

    def __init__(self, out: OutputWrapper, progress: Progress) -> None:
        self._out, self._progress = out, progress
        self._total = self._done = self._failed = 0

    def begin(self, total: int) -> None:
        self._total = total
        self._out.write(f"{many(total, 'record')} to send")
        self._progress.show(0, total)

    def tell(self, sent: Sent) -> None:
        self._done += 1
        self._failed += sent.outcome is not UploadOutcome.SUCCESS
        self._progress.show(self._done, self._total, f", {self._failed} of them not uploaded" if self._failed else "")


def _text(name: str, value: Any) -> str:  # noqa: ANN401 - a value of a row
    if name == "ingest_duration":
        return lasting(value)
    return at(value) if hasattr(value, "tzinfo") else str(value)
