"""`manage.py ingstat`: whether the ingest of a batch is over, and its result."""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from batches.choices import Verdict
from batches.cli.ingstat_advice import advice_json, advice_lines, replay_json, replay_lines
from batches.cli.ingstat_output import EXIT_STATUS_LABELS, count_lines, result_json, result_lines, summary_lines
from batches.cli.ingstat_watch import heal_once, watch
from batches.ingest.check import CheckResult, check, stored_result
from batches.ingest.finalize import finalize, finalize_lines
from batches.ingest.healing import batches_to_heal
from batches.ingest.parallel import Sleep, run_parallel
from batches.ingest.rule import WATCHED, CheckOptions
from batches.ingest.scheduled import watched_options
from batches.ingest_log.messages import ensure_readable
from batches.querysets import batches_in_ingest, batches_with_unread_log, get_batch
from batches.store import store_changed_note
from core.commands import FAILED, CommandParser, FnloaderCommand, at_least_one, seconds
from core.exceptions import OperationRefused
from core.logs import log_context
from core.processes import os_user
from objectstores.base import StoreError

Result = dict[str, Any]
"""The result of one batch, for --json."""

WORST_FIRST = tuple(EXIT_STATUS_LABELS)
EPILOG = """\
Counts the remaining objects of each batch in its bucket: an object that is ingested leaves it, one that fails stays.
If none remain, the ingest is complete. Otherwise it counts again after --sleep seconds: up to --checks times while the count
changes, and --rechecks more times once it does not. Same count but different objects also counts as a change.

exit status: 0 complete; 10 complete with errors; 11 still in progress; 1 could not check, no result;
2 invalid arguments; of several batches the worst, in the order 1, 11, 10, 0.
"""


class Command(FnloaderCommand):
    """Checks batches one after the other, with --all several at a time; the core is `batches.ingest.check`."""

    help = "Checks whether the ingest of batches is complete, and stores the result."

    _output_lock = threading.Lock()

    def add_arguments(self, parser: CommandParser) -> None:
        """See EPILOG."""
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("bid", nargs="*", metavar="BID", help="id of a batch")
        parser.add_argument("--all", action="store_true", help="all batches that are uploaded and not yet ingested")
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument(
            "--watch",
            action="store_true",
            help="watch one batch until its ingest ends, or until stopped (exit status 0)",
        )
        mode.add_argument(
            "--heal",
            action="store_true",
            help="count batches that ended with errors once; with --all, those that may still heal",
        )
        mode.add_argument(
            "--messages",
            action="store_true",
            help="read the ingest log of a stored result again; with --all, where it could not be read",
        )
        mode.add_argument(
            "--advise",
            action="store_true",
            help="how long to wait before a result is believed, from the counts of past ingests; with an id, what would"
            " have been said about this batch, and when; --sleep and --rechecks are compared with the usual ones",
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
            help="how many more counts must find no change once one found none (default: 1; --watch: for INGEST_QUIET_MINUTES)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Checks each batch, also after one that could not be checked, and returns the worst status."""
        if bool(options["bid"]) == options["all"] and not options["advise"]:
            self.usage("Give the ids of the batches to check, or --all.")
        if options["watch"] and (len(options["bid"]) != 1 or options["json"]):
            self.usage("--watch needs exactly one id and can't be combined with --json.")
        self.as_json: bool = options["json"]
        given = {name: options[name] for name in ("sleep", "checks", "rechecks") if options[name] is not None}
        check_options = replace(watched_options() if options["watch"] else CheckOptions(), **given)
        if options["advise"]:
            return self._advise(options["bid"], [check_options] if given else [])
        candidates = batches_in_ingest()
        if options["heal"]:
            candidates = batches_to_heal()
        elif options["messages"]:
            candidates = batches_with_unread_log()
        bids = list(dict.fromkeys(options["bid"] or candidates.values_list("bid", flat=True)))
        if not bids:
            self._print("No batch is waiting for its ingest.")

        def run_one(bid: str, sleep: Sleep = time.sleep) -> Result:
            try:
                with log_context(batch=bid):
                    return self._run_one(bid, options, check_options, sleep)
            except (OperationRefused, StoreError) as error:
                message = str(error)
                if isinstance(error, StoreError):
                    message = f"Could not check {bid}, no result: {error}"
                self.stderr.write(message)
                return {"id": bid, "verdict": None, "error": message, "exit_status": FAILED}

        parallel = options["all"] and len(bids) > 1
        results = run_parallel(run_one, bids) if parallel else [run_one(bid) for bid in bids]
        status = next(one for one in WORST_FIRST if one in {0, *(result["exit_status"] for result in results)})
        if self.as_json:
            self.stdout.document.write(json.dumps({"exit_status": status, "batches": results}, indent=2))
        elif parallel:
            self._print_lines(summary_lines(results))
        return status

    def _run_one(self, bid: str, options: dict[str, Any], check_options: CheckOptions, sleep: Sleep) -> Result:
        if options["heal"]:
            return heal_once(bid, self._print, self.stderr.write)
        if options["messages"]:
            batch = get_batch(bid)
            ensure_readable(batch)
            return self._finalize(stored_result(batch), sleep, read_again=True)
        if options["watch"]:
            watched = watch(self.stdout, self.stderr, bid, check_options)
            return self._finalize(watched, sleep) if watched else {"id": bid, "exit_status": 0}
        batch = get_batch(bid)
        if note := store_changed_note(batch):
            self._print(note)
        result = check(
            batch,
            check_options,
            asked_by=os_user(),
            on_count=lambda *counted: self._print_lines(count_lines(bid, *counted)),
            sleep=sleep,
        )
        return self._finalize(result, sleep)

    def _advise(self, bids: list[str], options: list[CheckOptions]) -> int:
        batches = [get_batch(bid) for bid in bids]
        if self.as_json:
            document = [replay_json(batch, options) for batch in batches] if batches else advice_json(options)
            self.stdout.document.write(json.dumps(document, indent=2))
        elif not batches:
            self.stdout.write_lines(advice_lines(options))
        for batch in () if self.as_json else batches:
            self.stdout.write_lines(replay_lines(batch, options))
        return 0

    def _finalize(self, result: CheckResult, sleep: Sleep, *, read_again: bool = False) -> Result:
        """Reads the log first, because it may have the end of the ingest; then prints the result."""
        if result.verdict == Verdict.IN_PROGRESS:
            self._print_lines(result_lines(result))
            return result_json(result)
        finalized = finalize(result.batch, read_again=read_again, on_page=lambda: sleep(0))
        self._print_lines(result_lines(result))
        for problem in filter(None, (finalized.log_problem, finalized.report_problem)):
            self.stderr.write(problem)
        self._print_lines(finalize_lines(finalized))
        document = result_json(result) | ({"report": str(finalized.report)} if finalized.report else {})
        problem = finalized.log_problem or finalized.log_note
        document |= {"messages_problem": problem} if problem else {}
        if error := finalized.report_problem or (finalized.log_problem if read_again else ""):
            document |= {"error": error, "exit_status": FAILED}
        return document

    def _print(self, line: str) -> None:
        self._print_lines([line])

    def _print_lines(self, lines: Iterable[str]) -> None:
        # At once, so that the lines of a batch stay together when several batches are checked at a time.
        if not self.as_json:
            with self._output_lock:
                self.stdout.write_lines(lines)
                self.stdout.flush()
