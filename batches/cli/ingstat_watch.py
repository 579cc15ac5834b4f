"""`ingstat --watch` and `ingstat --heal`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.core.management.base import OutputWrapper
from django.db import InterfaceError, OperationalError, connection

from batches.choices import FINISHED, CheckKind
from batches.ingest.check import CheckResult, check
from batches.ingest.count import ObjectCount
from batches.ingest.finalize import finalize
from batches.ingest.forecast import MAX_POINTS, Point, count_points, downsample, forecast, forecast_text
from batches.ingest.healing import heal
from batches.ingest.rule import Change, CheckOptions
from batches.models import Batch
from batches.querysets import get_batch
from core.commands import FAILED
from core.formatting import first_line, pluralize
from core.processes import os_user
from core.progress import Progress
from objectstores.base import Unavailable


@dataclass
class WatchProgress:
    """Shows for each count the remaining objects, their rate, and the expected end."""

    batch: Batch
    progress: Progress
    points: list[Point] = field(default_factory=list)

    def show(self, counted: ObjectCount, _change: Change) -> None:
        """Shows one more count."""
        self.points.append(Point(counted.counted_at, counted.remaining))
        if len(self.points) > 2 * MAX_POINTS:
            self.points = downsample(self.points, MAX_POINTS)
        current = forecast(self.points)
        total = max(self.batch.upload_oks or 0, counted.remaining)
        self.progress.show(total - counted.remaining, total, f": {forecast_text(current)}" if current else "")


def watch(out: OutputWrapper, err: OutputWrapper, bid: str, options: CheckOptions) -> CheckResult | None:
    """Watches a batch until its ingest is over; None if it was told to stop (its counts stay).

    While the store or the database is unavailable it tries again; any other error of the store ends it, as it ends a check.
    """
    batch = get_batch(bid)
    try:
        with Progress(out, str(batch), forecast=True) as progress:
            watched = WatchProgress(batch, progress, count_points(batch))
            while True:
                try:
                    batch = get_batch(bid)
                    result = check(batch, options, asked_by=os_user(), kind=CheckKind.WATCH, on_count=watched.show)
                except Unavailable as error:
                    err.write(f"{error}; trying again.")
                except (OperationalError, InterfaceError) as error:
                    err.write(f"Database error: {first_line(error, empty='connection lost')}; trying again.")
                    connection.close()
                else:
                    if result.verdict in FINISHED:
                        return result
                time.sleep(max(options.sleep, 1.0))
    except KeyboardInterrupt:  # SIGTERM, too
        out.write(f"Stopped watching {batch}. Its counts are stored.")
        return None


def heal_once(bid: str, out: Callable[[str], None], err: Callable[[str], None]) -> dict[str, Any]:
    """One count of a batch that ended with errors; prints what healed, and returns it for --json."""
    batch = get_batch(bid)
    result = heal(batch, asked_by=os_user())
    changed = bool(result and result.check.verdict)
    finalized = finalize(batch, read_again=changed)
    if result is None:
        out(f"{batch} has no errors: nothing to heal.")
    else:
        healed = f"{pluralize(result.healed, 'record')} healed" if changed else "nothing changed"
        out(f"{batch}: {healed}: {batch.ingest_oks} ingested, {batch.ingest_errs} remaining.")
    if result and result.reappeared:
        out(f"  {pluralize(result.reappeared, 'object')} of ingested records in the bucket again.")
    for problem in filter(None, (finalized.log_problem, finalized.report_problem)):
        err(problem)
    return {
        "id": bid,
        "healed": result.healed if result else 0,
        "again": result.reappeared if result else 0,
        "ingest_oks": batch.ingest_oks,
        "ingest_errs": batch.ingest_errs,
        "exit_status": FAILED if finalized.report_problem else 10 if batch.ingest_errs else 0,
    }
