"""`ingstat --watch`, `--heal` and `--messages`: a batch followed to its end, and what comes after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.core.management.base import OutputWrapper

from batches.choices import FINISHED, CheckKind
from batches.ingest.check import CheckResult, check, stored_result
from batches.ingest.count import ObjectCount
from batches.ingest.finalize import finalize
from batches.ingest.forecast import MOST_POINTS, Point, downsample, forecast, forecast_text, points
from batches.ingest.healing import heal
from batches.ingest.options import CheckOptions
from batches.ingest.rule import Change
from batches.ingest_log.messages import ensure_readable
from batches.models import Batch
from batches.querysets import get_batch
from core.commands import FAILED
from core.formatting import pluralize
from core.processes import os_user
from core.progress import Progress
from objectstores.base import Unavailable


@dataclass
class WatchProgress:
    """Tells of each count what is left, how fast it goes, and when it will be empty."""

    batch: Batch
    progress: Progress
    seen: list[Point] = field(default_factory=list)

    def tell(self, count: ObjectCount, _change: Change) -> None:
        """One more count."""
        self.seen.append(Point(count.counted_at, count.remaining))
        if len(self.seen) > 2 * MOST_POINTS:
            self.seen = downsample(self.seen, MOST_POINTS)
        standing = forecast(self.seen)
        total = max(self.batch.upload_oks or 0, count.remaining)
        self.progress.show(total - count.remaining, total, f": {forecast_text(standing)}" if standing else "")


def watch(out: OutputWrapper, err: OutputWrapper, bid: str, patience: CheckOptions) -> CheckResult | None:
    """Follows a batch until its ingest is over; None when it was told to stop (what was counted stays).

    While the store does not answer it tries again; any other error of the store ends it, as it ends a check.
    """
    batch = get_batch(bid)
    try:
        with Progress(out, str(batch), forecast=True) as progress:
            follower = WatchProgress(batch, progress, points(batch))
            while True:
                try:
                    result = check(batch, patience, asked_by=os_user(), kind=CheckKind.WATCH, tell=follower.tell)
                except Unavailable as error:
                    err.write(f"{error}; trying again.")
                else:
                    if result.verdict in FINISHED:
                        return result
                time.sleep(max(patience.sleep, 1.0))
                batch = get_batch(bid)
    except KeyboardInterrupt:  # SIGTERM, too
        out.write(f"Told to stop: {batch} is not watched any more. What was counted is kept.")
        return None


def heal_once(bid: str, say: Callable[[str], None], complain: Callable[[str], None]) -> dict[str, Any]:
    """One count of a batch that ended with errors; tells what healed, and returns its facts."""
    batch = get_batch(bid)
    found = heal(batch, asked_by=os_user())
    changed = bool(found and found.check.verdict)
    done = finalize(batch, again=changed)
    if found is None:
        say(f"{batch} has no errors (any more): there is nothing to heal.")
    else:
        what = f"{pluralize(found.healed, 'record')} healed" if changed else "nothing changed"
        say(f"{batch}: {what}: {batch.ingest_oks} ingested, {batch.ingest_errs} left.")
    if found and found.again:
        say(f"  {pluralize(found.again, 'object')} of records that were ingested are in the bucket again.")
    for problem in filter(None, (done.log_problem, done.report_problem)):
        complain(problem)
    return {
        "id": bid,
        "healed": found.healed if found else 0,
        "again": found.again if found else 0,
        "ingest_oks": batch.ingest_oks,
        "ingest_errs": batch.ingest_errs,
        "exit_status": FAILED if done.report_problem else 10 if batch.ingest_errs else 0,
    }


def result_of(bid: str) -> CheckResult:
    """The stored result of a batch whose messages are to be read. Raises OperationRefused where there is no log, or no result."""
    batch = get_batch(bid)
    ensure_readable(batch)
    return stored_result(batch)
