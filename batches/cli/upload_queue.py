"""`batch upload` of several batches, and `batch queue`."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from batches.choices import BatchStatus, CheckKind
from batches.cli.ingstat_output import EXIT_STATUS, EXIT_STATUS_LABELS, summary_lines
from batches.cli.upload_output import SOME_FAILED, UploadProgress, confirm_duplicates
from batches.ingest.check import stored_result
from batches.ingest.finalize import finalize
from batches.ingest.parallel import Sleep, run_parallel
from batches.ingest.scheduled import count_once, watched_options
from batches.models import Batch
from batches.querysets import batches_with_state, get_batch
from batches.upload.duplicates import check_duplicates
from batches.upload.run import plan_upload
from batches.upload_queue.entries import (
    batches_to_queue,
    bids,
    ensure_queueable,
    files_are_here,
    queue_batch,
    remove_from_queue,
    resume_queue,
)
from batches.upload_queue.run import UploadQueue, leave_ended, read_queue, upload_queued, waits_until
from core.commands import FAILED, CommandError, CommandParser, FnloaderCommand
from core.exceptions import OperationRefused
from core.formatting import format_duration, format_time, pluralize, text_table
from core.logs import log_context
from core.processes import os_user
from core.progress import Progress
from core.subcommands import Subcommand, write_json
from objectstores.base import Unavailable

POLL_SECONDS = 1.0
"""How often the queue is read; a count is made when it is due."""


def work_through(command: FnloaderCommand, options: dict[str, Any]) -> int:
    """Queues the batches that the options name, and works through the queue until nothing is left to do; returns the status."""
    selected = _select(command, options)
    for batch in selected:
        policy = "send" if options["dry_run"] else options["duplicates"]
        if not confirm_duplicates(command, batch, policy)(check_duplicates(batch)):
            raise OperationRefused(
                f"Nothing was queued, as {batch} has duplicates. Remove them from one of the batches, clear the other batch, or"
                " send them anyway: --duplicates send"
            )
    if options["dry_run"]:
        for batch in selected:
            plan = None if batch.status == BatchStatus.UPLOADED and not batch.upload_is_open else plan_upload(batch)
            what = f"{pluralize(plan.to_send, 'record')} to {plan.store}" if plan else "its ingest would be followed"
            command.stdout.write(f"{batch}: {what}")
        command.stdout.write(f"{pluralize(len(selected), 'batch', 'batches')} would be queued.")
        return 0
    for batch in selected:
        queue_batch(batch, who=os_user())
    for batch in resume_queue():
        command.stdout.write(f"The queue had stopped at {batch}, and goes on: {batch.queue_stop}")
    run = QueueRun(command, options)
    if not run.tracked:
        command.stdout.write("No batch waits for its upload.")
        return 0
    command.stdout.write(f"{pluralize(len(run.tracked), 'batch', 'batches')} in the queue: {' '.join(run.tracked)}")
    try:
        run_parallel(lambda loop, sleep: loop(sleep), [run.upload, run.follow])
    except KeyboardInterrupt:  # SIGTERM, too
        command.stderr.write(
            "The batches stay queued: run the command again to go on, or take them out: manage.py batch queue --remove BID"
        )
        raise
    return run.finish()


def _select(command: FnloaderCommand, options: dict[str, Any]) -> list[Batch]:
    if options["all_mapped"]:
        found = [(batch, files_are_here(batch)) for batch in batches_to_queue()]
        if elsewhere := [batch for batch, is_here in found if not is_here]:
            command.stdout.write(f"Not queued, their files are not on this machine: {bids(elsewhere)}")
        return [batch for batch, is_here in found if is_here]
    named = [get_batch(bid) for bid in dict.fromkeys(options["bid"])]
    ended = [batch for batch in named if batch.status == BatchStatus.INGESTED]
    if ended:
        command.stdout.write(f"Not queued, already ingested: {bids(ended)}")
    selected = [batch for batch in named if batch not in ended]
    for batch in selected:
        ensure_queueable(batch)
    return selected


class QueueRun:
    """Two loops in two threads: one uploads a batch at a time, the other follows the ingests and reports what ended."""

    def __init__(self, command: FnloaderCommand, options: dict[str, Any]) -> None:
        self._command, self._options = command, options
        given = {name: options[name] for name in ("sleep", "rechecks") if options[name] is not None}
        self._check_options = replace(watched_options(), **given)
        self._poll = min(POLL_SECONDS, max(options["sleep"], POLL_SECONDS / 20))
        self._began = timezone.now()
        self._uploaded_all = False
        self._results: list[dict[str, Any]] = []
        self._ended: list[Batch] = []
        self._problems: dict[str, str] = {}
        """What was reported of a batch that can't be counted now, by its id."""
        self._output_lock = threading.Lock()
        self._progress = Progress(command.stdout, "")
        self.tracked = _queued_bids(read_queue())
        """Batches that were in the queue when it was last read."""

    def upload(self, sleep: Sleep) -> None:
        """Uploads one batch after the other, until none is left that this machine can upload, and no ingest runs."""
        was_told = False
        while True:
            queue = read_queue()
            batch, until = queue.next_batch(self._options["at_once"]), waits_until()
            if batch and not until:
                was_told = False
                if self._upload(batch, sleep):
                    continue
            elif batch and until and not was_told:
                waiting = pluralize(len(queue.waiting), "batch", "batches")
                self._print(f"Waiting until {format_time(until)} (UPLOAD_HOURS): {waiting} to upload.")
                was_told = True
            elif not batch and not queue.running and not queue.ended:
                break
            sleep(self._poll)
        self._uploaded_all = True

    def _upload(self, batch: Batch, sleep: Sleep) -> bool:
        """False if it was not uploaded."""

        def pause_reason() -> str:
            sleep(0)
            return ""

        with Progress(self._command.stdout, f"uploading {batch}") as self._progress:
            shown = UploadProgress(self._command.stdout, self._progress, self._output_lock, f"{batch}: ")
            result = upload_queued(batch, on_start=shown.start, on_result=shown.add, pause_reason=pause_reason)
        return result is not None

    def follow(self, sleep: Sleep) -> None:
        """Counts the batches in ingest when that is due, and reports what left the queue, until `upload` has ended."""
        while True:
            is_last = self._uploaded_all
            for batch in read_queue().running:
                if not batch.upload_is_open:
                    self._count(batch)
            queue = read_queue()
            for batch in queue.ended:
                finalized = finalize(batch, on_page=lambda: sleep(0))
                self._print_problems(finalized.log_problem, finalized.report_problem)
                leave_ended(batch)
            left = [batch.bid for batch in (*queue.running, *queue.waiting)]
            for bid in dict.fromkeys([*self.tracked, *_queued_bids(queue)]):
                if bid not in left:
                    self._report(bid)
            self.tracked = left
            if is_last:
                return
            sleep(self._poll)

    def _count(self, batch: Batch) -> None:
        try:
            with log_context(batch=batch.bid):
                count_once(batch, self._check_options, asked_by=os_user(), kind=CheckKind.QUEUE)
        except (Unavailable, OperationRefused) as error:
            if self._problems.get(batch.bid) != str(error):
                self._print_problems(f"{error}; trying again.")
            self._problems[batch.bid] = str(error)
        except IntegrityError:
            pass  # another process made the same count first
        else:
            self._problems.pop(batch.bid, None)

    def _report(self, bid: str) -> None:
        """One line of a batch that left the queue."""
        batch = Batch.objects.filter(bid=bid).first()
        if batch is None:
            return
        if batch.status == BatchStatus.INGESTED and batch.ingest_errs is not None:
            status = EXIT_STATUS[stored_result(batch).verdict]
            status = SOME_FAILED if batch.upload_errs else status
        elif batch.upload_finished and batch.status != BatchStatus.UPLOADED:
            status = FAILED  # nothing of it arrived
        else:
            self._print(f"{batch}: removed from the queue.")
            return
        self._results.append({"id": bid, "exit_status": status})
        self._ended.append(batch)
        start, end = format_time(batch.ingest_start_time), format_time(batch.ingest_complete_time)
        times = f"; {start} to {end}, {format_duration(batch.ingest_duration)}" if end else ""
        self._print(f"{batch}: {EXIT_STATUS_LABELS[status]}: {_counts([batch])}{times}")

    def finish(self) -> int:
        """The summary, and the exit status. Raises CommandError if the queue stopped before its end."""
        queue, waiting = read_queue(), ""
        if self._results:
            elapsed = format_duration(timezone.now() - self._began)
            self._print(*summary_lines(self._results), f"  in all: {_counts(self._ended)}; {elapsed}")
        if queue.waiting:
            waiting = f"{pluralize(len(queue.waiting), 'batch', 'batches')} not uploaded: {bids(queue.waiting)}."
        if queue.stops and waiting:
            stops = " ".join(
                f"The queue stopped at {batch}: {(batch.queue_stop or '').rstrip('.')}." for batch in queue.stops
            )
            raise CommandError(
                f"{stops} {waiting} To show why: manage.py batch show {queue.stops[0]}. Correct it, then run the same command"
                " again: it goes on where it stopped."
            )
        if waiting:
            self._print(f"{waiting} Their files are not on this machine.")
        statuses = {result["exit_status"] for result in self._results}
        return next(status for status in EXIT_STATUS_LABELS if status in statuses | {0})

    def _print(self, *lines: str) -> None:
        with self._output_lock:
            # A bar comes back with its next step.
            self._progress.end()
            self._command.stdout.write_lines(lines)
            self._command.stdout.flush()

    def _print_problems(self, *problems: str) -> None:
        with self._output_lock:
            self._progress.end()
            for problem in filter(None, problems):
                self._command.stderr.write(problem)


def _queued_bids(queue: UploadQueue) -> list[str]:
    return [batch.bid for batch in (*queue.ended, *queue.running, *queue.waiting)]


def _counts(batches: list[Batch]) -> str:
    uploaded, ingested = (sum(getattr(batch, name) or 0 for batch in batches) for name in ("upload_oks", "ingest_oks"))
    failed = sum((batch.upload_errs or 0) + (batch.ingest_errs or 0) for batch in batches)
    return f"{uploaded:,} uploaded, {ingested:,} ingested, {failed:,} failed"


def _queue_arguments(parser: CommandParser) -> None:
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--remove", nargs="+", metavar="BID", help="take these batches out of the queue")
    action.add_argument("--resume", action="store_true", help="go on after the queue stopped at a batch")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")


def _queue(command: FnloaderCommand, options: dict[str, Any]) -> int:
    for batch in [get_batch(bid) for bid in options["remove"] or ()]:
        remove_from_queue(batch, who=os_user())
        cut_off = f" Its upload is unfinished: manage.py batch upload {batch}" if batch.upload_is_open else ""
        command.stdout.write(f"{batch} removed from the queue.{cut_off}")
    if options["remove"]:
        return 0
    if options["resume"]:
        stops = resume_queue()
        command.stdout.write(
            f"Queue resumed: it had stopped at {bids(stops)}." if stops else "The queue was not stopped."
        )
        return 0
    queue, until = read_queue(), waits_until()
    batches = {batch.bid: batch for batch in batches_with_state().filter(bid__in=_queued_bids(queue))}
    rows = [batches[bid] for bid in _queued_bids(queue) if bid in batches]
    if options["json"]:
        write_json(
            command,
            {
                "stops": [{"id": batch.bid, "reason": batch.queue_stop} for batch in queue.stops],
                "upload_hours": settings.UPLOAD_HOURS.text or None,
                "waits_until": until,
                "batches": [
                    {
                        "id": batch.bid,
                        "state": batch.state,  # type: ignore[attr-defined]
                        "records": batch.record_count,
                        "queued_at": batch.queued_at,
                        "queued_by": batch.queued_by,
                    }
                    for batch in rows
                ],
            },
        )
        return 0
    for batch in queue.stops:
        command.stdout.write(f"Stopped at {batch}: {batch.queue_stop}. To go on: manage.py batch queue --resume")
    if until and queue.waiting:
        command.stdout.write(f"Waiting until {format_time(until)} (UPLOAD_HOURS).")
    table = [
        (
            batch.bid,
            batch.state,  # type: ignore[attr-defined]
            batch.record_count,
            format_time(batch.queued_at),
            batch.queued_by,
        )
        for batch in rows
    ]
    header = ("id", "state", "records", "queued", "by")
    command.stdout.write_lines(text_table(header, table) if table else ["No batch is queued for upload."])
    return 0


SUBCOMMANDS = [
    Subcommand(
        "queue",
        "list the batches that are queued for upload, take some out, or go on after a stop",
        "exit status: 0; 1 refused; 2 invalid arguments",
        _queue_arguments,
        _queue,
    ),
]
