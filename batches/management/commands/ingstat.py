"""`manage.py ingstat`: is the ingest of a batch over, and how did it end?"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from batches.choices import BatchStatus, Verdict
from batches.cli.ingstat_output import EXIT_STATUS_LABELS, count_lines, result_json, result_lines, summary
from batches.cli.ingstat_watch import heal_once, result_of, watch
from batches.ingest.check import CheckResult, check
from batches.ingest.finalize import finalize, finalize_lines
from batches.ingest.healing import batches_to_heal
from batches.ingest.options import WATCHED, CheckOptions
from batches.ingest.parallel import Crew
from batches.models import Batch
from batches.querysets import get_batch
from batches.store import store_changed_note
from core.commands import FAILED, CommandParser, FnloaderCommand, at_least_one, seconds
from core.exceptions import OperationRefused
from core.logs import log_context
from core.processes import os_user
from objectstores.base import StoreError

WORST_FIRST = tuple(EXIT_STATUS_LABELS)
EPILOG = """\
Counts the objects of each batch that are left in its bucket: an object that is ingested leaves it, one that fails stays.
None left is complete. Otherwise it counts again after --sleep seconds: up to --checks times while the count changes, and
--rechecks times more once it did not. An equal number of other objects is a change.

exit status: 0 complete; 10 complete with errors; 11 still in progress; 1 could not check: there is no result;
2 wrong usage; of several batches the worst, in the order 1, 11, 10, 0.
"""


class Command(FnloaderCommand):
    """Checks batches one after the other, with --all several at a time; the core is `batches.ingest.check`."""

    help = "Says whether the ingest of batches is complete, with which errors, and records the result."

    _sleep: Callable[[float], None] | None = None
    _writing = threading.Lock()

    def add_arguments(self, parser: CommandParser) -> None:
        """See EPILOG."""
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("bid", nargs="*", metavar="BID", help="id of a batch")
        parser.add_argument("--all", action="store_true", help="every batch that is uploaded, and not yet ingested")
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument(
            "--watch", action="store_true", help="follow one batch to its end, or until told to stop (exit status 0)"
        )
        instead.add_argument(
            "--heal",
            action="store_true",
            help="count once what is left of batches that ended with errors; with --all, those that are still watched",
        )
        instead.add_argument(
            "--messages",
            action="store_true",
            help="read the messages of a stored result from the log once more; with --all, those that could not be read",
        )
        parser.add_argument(
            "--sleep", type=seconds, help=f"seconds between two counts (default: 1.5; --watch: {WATCHED.sleep:g})"
        )
        parser.add_argument(
            "--checks",
            type=at_least_one,
            help="how many counts may find a change before it is reported as still in progress (default: 1; --watch: any)",
        )
        parser.add_argument(
            "--rechecks",
            type=at_least_one,
            help=f"how many more counts must find no change once one found none (default: 1; --watch: {WATCHED.rechecks})",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Checks each batch, goes on after one that could not be checked, and returns the worst status."""
        if bool(options["bid"]) == options["all"]:
            self.usage("Give the ids of the batches to check, or --all.")
        if options["watch"] and (len(options["bid"]) != 1 or options["json"]):
            self.usage("--watch follows one batch, and tells of it in lines: give one id, and no --json.")
        self.as_json: bool = options["json"]
        ask, waiting = self._how(options)
        bids = options["bid"] or waiting
        if not bids:
            self._say("No batch is waiting for its ingest.")
        facts = self._each(list(dict.fromkeys(bids)), lambda bid: self._one(bid, ask), at_once=options["all"])
        status = next(one for one in WORST_FIRST if one in {0, *(fact["exit_status"] for fact in facts)})
        if self.as_json:
            self.stdout.write(json.dumps({"exit_status": status, "batches": facts}, indent=2))
        elif options["all"] and len(facts) > 1:
            self._say_all(summary(facts))
        return status

    def _each(self, bids: list[str], one: Callable[[str], dict[str, Any]], *, at_once: bool) -> list[dict[str, Any]]:
        if not at_once or len(bids) < 2:
            return [one(bid) for bid in bids]
        crew = Crew()
        self._sleep = crew.sleep
        return crew.each(one, bids)

    def _how(self, options: dict[str, Any]) -> tuple[Callable[[str], dict[str, Any]], list[str]]:
        """What is to be done with each batch, and with which ones if all are meant."""
        usual = WATCHED if options["watch"] else CheckOptions()
        chosen = {name: options[name] for name in ("sleep", "checks", "rechecks") if options[name] is not None}
        patience = replace(usual, **chosen)
        if options["heal"]:
            return lambda bid: heal_once(bid, self._say, self.stderr.write), list(
                batches_to_heal().values_list("bid", flat=True)
            )
        if options["messages"]:
            return lambda bid: self._end(result_of(bid), again=True), _unread()
        if options["watch"]:
            return lambda bid: self._watch(bid, patience), []
        return lambda bid: self._check(bid, patience), _waiting()

    def _one(self, bid: str, ask: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        try:
            with log_context(batch=bid):
                return ask(bid)
        except (OperationRefused, StoreError) as error:
            said = (
                str(error)
                if isinstance(error, OperationRefused)
                else f"{bid} could not be checked, there is no result: {error}"
            )
            self.stderr.write(said)
            return {"id": bid, "verdict": None, "error": said, "exit_status": FAILED}

    def _check(self, bid: str, patience: CheckOptions) -> dict[str, Any]:
        batch = get_batch(bid)
        if note := store_changed_note(batch):
            self._say(note)
        result = check(
            batch,
            patience,
            asked_by=os_user(),
            tell=lambda *seen: self._say_all(count_lines(bid, *seen)),
            sleep=self._sleep,
        )
        return self._end(result)

    def _watch(self, bid: str, patience: CheckOptions) -> dict[str, Any]:
        result = watch(self.stdout, self.stderr, bid, patience)
        return self._end(result) if result else {"id": bid, "exit_status": 0}

    def _end(self, result: CheckResult, *, again: bool = False) -> dict[str, Any]:
        """What follows a result, then the result: its end comes from the log, where there is one."""
        if result.verdict == Verdict.IN_PROGRESS:
            self._say_all(result_lines(result))
            return result_json(result)
        done = finalize(result.batch, again=again)
        self._say_all(result_lines(result))
        for problem in filter(None, (done.log_problem, done.report_problem)):
            self.stderr.write(problem)
        self._say_all(finalize_lines(done))
        facts = result_json(result) | ({"report": str(done.report)} if done.report else {})
        facts |= {"messages_problem": done.log_problem} if done.log_problem else {}
        if done.report_problem or (again and done.log_problem):
            facts |= {"error": done.report_problem or done.log_problem, "exit_status": FAILED}
        return facts

    def _say(self, line: str) -> None:
        if not self.as_json:
            with self._writing:
                self.stdout.write(line)
                self.stdout.flush()

    def _say_all(self, lines: Iterable[str]) -> None:
        # In one piece, so that what belongs together stays together when several batches are checked at a time.
        if text := "\n".join(lines):
            self._say(text)


def _waiting() -> list[str]:
    waiting = Batch.objects.filter(status=BatchStatus.UPLOADED, archived_at=None)
    return list(waiting.order_by("added_at", "pk").values_list("bid", flat=True))


def _unread() -> list[str]:
    failed = Batch.objects.filter(status=BatchStatus.INGESTED, archived_at=None, messages_problem__isnull=False)
    return list(failed.order_by("added_at", "pk").values_list("bid", flat=True))
