"""`manage.py ingstat`: is the ingest of a batch over, and how did it end?"""

from __future__ import annotations

import argparse
import json
from typing import Any

from batches.choices import BatchStatus, Verdict
from batches.concluding import conclude, said_of
from batches.counting import Count
from batches.errors import Refused
from batches.ingest import CheckResult, check, find
from batches.lines import at, lasting, many
from batches.models import Batch
from batches.owners import user_name
from batches.patience import Patience
from batches.places import moved
from batches.verdict import Change
from fnloader_site.commands import FAILED, CommandParser, FnloaderCommand, at_least_one, seconds
from objectstores.base import StoreError

STATUS = {Verdict.COMPLETE: 0, Verdict.COMPLETE_WITH_ERRORS: 10, Verdict.IN_PROGRESS: 11}
WORST_FIRST = (FAILED, 11, 10, 0)
EPILOG = """\
Counts the objects of each batch that are left in its bucket: an object that is ingested leaves it, one that fails stays.
None left is complete. Otherwise it counts again after --sleep seconds: up to --checks times while the count changes, and
--rechecks times more once it did not. An equal number of other objects is a change.

exit status: 0 complete; 10 complete with errors; 11 still in progress; 1 could not check: there is no result;
2 wrong usage; of several batches the worst, in the order 1, 11, 10, 0.
"""


class Command(FnloaderCommand):
    """Checks batches one after the other; the core is `batches.ingest`."""

    help = "Says whether the ingest of batches is complete, with which errors, and records the result."

    def add_arguments(self, parser: CommandParser) -> None:
        """See EPILOG."""
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("bid", nargs="*", metavar="BID", help="id of a batch")
        parser.add_argument("--all", action="store_true", help="every batch that is uploaded, and not yet ingested")
        parser.add_argument("--sleep", type=seconds, default=1.5, help="seconds between two counts (default: 1.5)")
        parser.add_argument(
            "--checks",
            type=at_least_one,
            default=1,
            help="how many counts may find a change before it is reported as still in progress (default: 1)",
        )
        parser.add_argument(
            "--rechecks",
            type=at_least_one,
            default=1,
            help="how many more counts must find no change once one found none (default: 1)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Checks each batch, goes on after one that could not be checked, and returns the worst status."""
        if bool(options["bid"]) == options["all"]:
            self.usage("Give the ids of the batches to check, or --all.")
        self.as_json: bool = options["json"]
        patience = Patience(options["sleep"], options["checks"], options["rechecks"])
        bids = options["bid"] or _waiting()
        if not bids:
            self._say("No batch is waiting for its ingest.")
        facts = [self._one(bid, patience) for bid in dict.fromkeys(bids)]
        status = next(one for one in WORST_FIRST if one in {0, *(fact["exit_status"] for fact in facts)})
        if self.as_json:
            self.stdout.write(json.dumps({"exit_status": status, "batches": facts}, indent=2))
        return status

    def _one(self, bid: str, patience: Patience) -> dict[str, Any]:
        try:
            batch = find(bid)
            if note := moved(batch):
                self._say(note)
            result = check(batch, patience, asked_by=user_name(), tell=lambda *seen: self._tell(bid, *seen))
        except (Refused, StoreError) as error:
            said = (
                str(error) if isinstance(error, Refused) else f"{bid} could not be checked, there is no result: {error}"
            )
            self.stderr.write(said)
            return {"id": bid, "verdict": None, "error": said, "exit_status": FAILED}
        self._explain(result)
        after = self._conclude(result)
        return _facts(result) | after

    def _tell(self, bid: str, seen: Count, change: Change) -> None:
        self._say(f"{at(seen.counted_at)}  {bid}: {many(seen.remaining, 'object')} left ({change.value})")
        if seen.foreign:
            self._say(f"  not counted: {many(seen.foreign, 'object')} of other batches with the same prefix")
        if seen.invalid:
            names = ", ".join(map(repr, seen.examples))
            self._say(f"  not counted: {many(seen.invalid, 'object')} whose name is no key, such as {names}")

    def _explain(self, result: CheckResult) -> None:
        batch, left = result.batch, result.remaining
        if result.verdict == Verdict.IN_PROGRESS:
            self._say(f"{batch}: ingest is still in progress, {many(left, 'object')} remaining.")
            return
        if result.stored:
            self._say(f"{batch} was found complete at {at(batch.ingest_done_at)}; nothing was counted now.")
            self._say(f"  To check it again, take that result back: manage.py batch rollback {batch} ingest")
        ended = "complete, but has errors" if left else "complete"
        self._say(
            f"{batch}: ingest is {ended}: {batch.ingest_oks} ingested, {left} left; it ended at"
            f" {at(batch.ingest_complete_time)}{_took(batch)}."
        )
        if result.unmatched:
            self._say(f"  {many(result.unmatched, 'object')} of those left belong to none of its records.")
        if batch.upload_errs:
            self._say(f"  {many(batch.upload_errs, 'record')} had not been uploaded: manage.py batch show {batch}")

    def _conclude(self, result: CheckResult) -> dict[str, Any]:
        """Messages and report. A stored result gets what it does not have: the last run may have died."""
        if result.verdict == Verdict.IN_PROGRESS:
            return {}
        done = conclude(result.batch)
        for problem in filter(None, (done.log_problem, done.report_problem)):
            self.stderr.write(problem)
        for line in said_of(done):
            self._say(line)
        facts: dict[str, Any] = {"messages_problem": done.log_problem} if done.log_problem else {}
        if done.report_problem:
            return facts | {"error": done.report_problem, "exit_status": FAILED}
        return facts | ({"report": str(done.report)} if done.report else {})

    def _say(self, line: str) -> None:
        if not self.as_json:
            self.stdout.write(line)
            self.stdout.flush()


def _waiting() -> list[str]:
    waiting = Batch.objects.filter(status=BatchStatus.UPLOADED, archived_at=None)
    return list(waiting.order_by("added_at", "pk").values_list("bid", flat=True))


def _took(batch: Batch) -> str:
    return f" and took {lasting(batch.ingest_duration)}" if batch.ingest_duration is not None else ""


def _facts(result: CheckResult) -> dict[str, Any]:
    batch = result.batch
    finished = result.verdict != Verdict.IN_PROGRESS
    done = {
        "ingest_done": batch.ingest_done_at and batch.ingest_done_at.isoformat(),
        "ingest_complete_time": batch.ingest_complete_time and batch.ingest_complete_time.isoformat(),
        "ingest_duration": lasting(batch.ingest_duration) or None,
        "ingest_oks": batch.ingest_oks,
        "ingest_errs": batch.ingest_errs,
        "unmatched": result.unmatched,
    }
    counts = [
        {"at": one.counted_at.isoformat(), "remaining": one.remaining, "foreign": one.foreign, "invalid": one.invalid}
        for one in result.counts
    ]
    return {
        "id": batch.bid,
        "verdict": result.verdict.value,
        "stored": result.stored,
        "remaining": result.remaining,
        "counts": counts,
        "exit_status": STATUS[result.verdict],
        **(done if finished else {}),
    }
