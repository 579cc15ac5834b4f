"""The advice from many ingests: how long the page takes, and what summing up their counts costs (`make bench`).

DATABASE_URL names a database; an empty one is migrated and filled. Without it, a SQLite file that is deleted afterwards.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batches.models import IngestCount

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
RECTYPES = ("media", "collectionobject", "person", "place", "work")
"""Of the batches, in turn."""
TIMES = 20
"""How often the page is requested."""


def main() -> None:
    """Prints the median of the page, and the time a batch takes to be summed up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--counts", type=int, default=10_000, help="of each batch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fnloader-advice-") as folder:
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder}/db.sqlite3")
        os.environ |= {"DJANGO_SETTINGS_MODULE": "fnloader_site.settings", "SECRET_KEY": "bench-" + "x" * 50}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], check=True)
        import django

        django.setup()
        from batches.models import IngestCount

        if not IngestCount.objects.exists():
            fill(options.batches, options.counts)
        print(f"{options.batches:,} batches of {options.counts:,} counts")
        print(f"  summed up the first time: {summed_up() * 1000 / options.batches:.1f} ms a batch")
        for path in ("/ingest/advice/", "/ingest/rates/"):
            print(f"  {path}: {requested(path) * 1000:.0f} ms (median of {TIMES})")


def fill(batches: int, counts: int) -> None:
    """Ingests of which every tenth has a pause of ten minutes, each with one check."""
    from batches.choices import CheckKind, StepKind, Verdict
    from batches.models import Batch, BatchStep, IngestCheck, IngestCount
    from core.temporary import in_pages

    for number in range(batches):
        end = BEGAN + timedelta(minutes=counts)
        batch = Batch.objects.create(
            bid=f"b{number:05}",
            rectype=RECTYPES[number % len(RECTYPES)],
            action="CREATE",
            status="ingested",
            upload_started=BEGAN,
            upload_finished=BEGAN,
            ingest_start_time=BEGAN,
            ingest_done_at=end,
            ingest_duration=end - BEGAN,
            ingest_oks=counts,
            ingest_errs=3,
            upload_oks=counts + 3,
        )
        BatchStep.objects.create(batch=batch, kind=StepKind.UPLOAD, began_at=BEGAN, ended_at=BEGAN, who="w", host="h")
        check = IngestCheck.objects.create(
            batch=batch,
            kind=CheckKind.TICK,
            started_at=BEGAN,
            finished_at=end,
            store="s3://bucket",
            sleep_seconds=60,
            checks=9999,
            rechecks=29,
            remaining=3,
            verdict=Verdict.COMPLETE_WITH_ERRORS,
            asked_by="w",
            host="h",
        )
        for page in in_pages(_counts(check.pk, counts, paused=number % 10 == 0), 5000):
            IngestCount.objects.bulk_create(page)


def _counts(check: int, number: int, *, paused: bool) -> Iterator[IngestCount]:
    from batches.models import IngestCount

    for index in range(number):
        left = max(3, number - 40 - index)
        if paused and number // 2 <= index < number // 2 + 10:
            left = number // 2
        at = BEGAN + timedelta(minutes=index + 1)
        yield IngestCount(
            check_run_id=check, number=index + 1, counted_at=at, remaining=left, digest=str(left), foreign=0, invalid=0
        )


def summed_up() -> float:
    """Seconds for all batches that are not summed up yet."""
    from batches.ingest.course import sum_up_earlier

    start = time.perf_counter()
    sum_up_earlier()
    return time.perf_counter() - start


def requested(path: str) -> float:
    """Seconds of a request, the median, through Django's whole stack in this process."""
    from django.contrib.auth.models import User
    from django.test import Client

    user, _ = User.objects.get_or_create(username="bench", is_superuser=True)
    client, times = Client(headers={"host": "localhost"}), []
    client.force_login(user)
    for _ in range(TIMES):
        start = time.perf_counter()
        assert client.get(path).status_code == 200
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
