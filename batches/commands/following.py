"""`ingstat --watch`, `--heal` and `--messages`: a batch followed to its end, and what comes after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.core.management.base import OutputWrapper

from batches.choices import FINISHED, CheckKind
from batches.concluding import conclude
from batches.counting import Count
from batches.curve import Point, drain, thinned
from batches.draining import MOST, points, said
from batches.healing import heal
from batches.ingest import CheckResult, check, find, stored
from batches.messages import refuse_reading
from batches.models import Batch
from batches.patience import Patience
from batches.verdict import Change
from core.commands import FAILED
from core.formatting import pluralize
from core.processes import os_user
from core.progress import Progress
from objectstores.base import Unavailable


@dataclass
class Follower:
    """Tells of each count what is left, how fast it goes, and when it will be empty."""

    batch: Batch
    progress: Progress
    seen: list[Point] = field(default_factory=list)

    def tell(self, count: Count, _change: Change) -> None:
        """One more count."""
        self.seen.append(Point(count.counted_at, count.remaining))
        if len(self.seen) > 2 * MOST:
            self.seen = thinned(self.seen, MOST)
        standing = drain(self.seen)
        total = max(self.batch.upload_oks or 0, count.remaining)
        self.progress.show(total - count.remaining, total, f": {said(standing)}" if standing else "")


def watch(out: OutputWrapper, err: OutputWrapper, bid: str, patience: Patience) -> CheckResult | None:
    """Follows a batch until its ingest is over; None when it was told to stop (what was counted stays).

    While the store does not answer it tries again; any other error of the store ends it, as it ends a check.
    """
    batch = find(bid)
    try:
        with Progress(out, str(batch), foretold=True) as progress:
            follower = Follower(batch, progress, points(batch))
            while True:
                try:
                    result = check(batch, patience, asked_by=os_user(), kind=CheckKind.WATCH, tell=follower.tell)
                except Unavailable as error:
                    err.write(f"{error}; trying again.")
                else:
                    if result.verdict in FINISHED:
                        return result
                time.sleep(max(patience.sleep, 1.0))
                batch = find(bid)
    except KeyboardInterrupt:  # SIGTERM, too
        out.write(f"Told to stop: {batch} is not watched any more. What was counted is kept.")
        return None


def heal_once(bid: str, say: Callable[[str], None], complain: Callable[[str], None]) -> dict[str, Any]:
    """One count of a batch that ended with errors; tells what healed, and returns its facts."""
    batch = find(bid)
    found = heal(batch, asked_by=os_user())
    changed = bool(found and found.check.verdict)
    done = conclude(batch, again=changed)
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
    """The stored result of a batch whose messages are to be read. Raises Refused where there is no log, or no result."""
    batch = find(bid)
    refuse_reading(batch)
    return stored(batch)
