"""Every page's server time and queries, and the speed and memory of an export, on a big database (`make bench-pages`).

DATABASE_URL names the database, PostgreSQL or SQLite; an empty one is migrated and filled first (bench.lifelike), a filled one is
used as it is. Pages are requested in this process through Django's whole stack, without a network; the export in its own process.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.auth.models import User

BUDGET = 12
"""Queries of a page at most: session, user, permissions, a bounded count, rows, and the choices of its filters."""
BUDGETS = {"/": 34, "/metrics": 20}
"""Of the pages that show everything."""
WANTED = 150
"""Milliseconds of server time, 95th percentile, on a machine that does nothing else."""
EXPORT = "/attempts/?export=csv"


def main() -> None:
    """Prints a line a page, slowest last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--feeds", type=int, default=50)
    parser.add_argument("--times", type=int, default=20, help="how often each page is requested")
    parser.add_argument("--export", action="store_true", help="only export, and say how fast")
    options = parser.parse_args()
    _setup(options)
    if options.export:
        export()
        return
    found = sorted((measured(url, options.times) for url in addresses()), key=lambda one: one[1])
    for url, p95, median, queries, slowest in found:
        marks = ("over budget " if queries > BUDGETS.get(url, BUDGET) else "") + ("slow" if p95 > WANTED else "")
        print(
            f"{median:7.0f} ms median {p95:7.0f} ms p95 {queries:3} queries {slowest:6.0f} ms the slowest  {url} {marks}"
        )
    subprocess.run([sys.executable, "-m", "bench.webpages", "--export"], check=True, env=os.environ)


def addresses() -> Iterator[str]:
    """Pages with what their users ask for, on rows that are there."""
    from batches.models import Batch
    from loader.models import BucketObject, Feed, LoadAttempt

    feed, last = Feed.objects.order_by("name")[3], LoadAttempt.objects.latest("pk")
    file, sample = BucketObject.objects.latest("pk"), last.seqid or ""
    yield from ("/", "/feeds/", f"/feeds/{feed}/", f"/feeds/{feed}/?span=week", f"/feeds/{feed}/?span=month")
    yield from ("/attempts/", "/attempts/?page=1900", f"/attempts/?feed={feed.pk}", "/attempts/?outcome=rejected")
    yield from (f"/attempts/?outcome=rejected&feed={feed.pk}", "/attempts/?status=500", "/attempts/?wrong=1")
    yield from ("/attempts/?parsed=failed", "/attempts/?completed=0", "/attempts/?when=hour", "/attempts/?host=nobody")
    yield from (f"/attempts/?q={sample[:3]}", f"/attempts/?q={sample[:-3]}", "/attempts/?sort=seqid")
    yield from (
        "/attempts/?sort=-insert_status_code",
        "/attempts/?sort=bucket_read_start_time",
        f"/attempts/{last.pk}/",
    )
    yield from ("/files/", "/files/?state=rejected", "/files/?accepted=0", f"/files/?feed={feed.pk}&state=rejected")
    yield from (
        "/files/?result=conflicting",
        f"/files/{file.pk}/",
        "/loads/",
        f"/loads/?feed={feed.pk}",
        "/loads/?due=1",
    )
    yield from (f"/search/?q={sample[:3]}", f"/sample/?id={sample}", "/batches/", "/metrics")
    yield from (f"/files/?q={sample[:3]}", f"/files/?q={sample[:-3]}", "/files/?page=1900")
    yield from (f"/admin/loader/{name}/" for name in ("loadattempt", "bucketobject", "batchload"))
    yield from (f"/admin/loader/{name}/?q={sample}" for name in ("loadattempt", "bucketobject"))
    yield from (f"/admin/loader/{name}/?p=1000" for name in ("loadattempt", "bucketobject"))
    yield from (f"/admin/loader/{name}/?feed__id__exact={feed.pk}" for name in ("loadattempt", "bucketobject"))
    yield from (
        "/admin/loader/loadattempt/?outcome__exact=rejected",
        "/admin/loader/bucketobject/?state__exact=rejected",
    )
    yield "/admin/batches/batchrecord/"
    for batch in Batch.objects.order_by("-record_count")[:1]:
        yield f"/batches/{batch.bid}/"


def measured(url: str, times: int) -> tuple[str, float, float, int, float]:
    """The address, its 95th percentile and median in milliseconds, its queries, and the slowest of these."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(SERVER_NAME="localhost")
    client.force_login(_boss())
    milliseconds = []
    for _ in range(times + 1):
        start = time.perf_counter()
        response = client.get(url)
        milliseconds.append((time.perf_counter() - start) * 1000)
        assert response.status_code == 200, (url, response.status_code)
    with CaptureQueriesContext(connection) as queries:
        client.get(url)
    slowest = max((float(query["time"]) for query in queries), default=0) * 1000
    rest = sorted(milliseconds[1:])
    return url, rest[int(len(rest) * 0.95) - 1], statistics.median(rest), len(queries), slowest


def export() -> None:
    """Rows a second, and the peak of this process."""
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    client.force_login(_boss())
    start, cpu, lines = time.perf_counter(), time.process_time(), 0
    parts = client.get(EXPORT).streaming_content  # type: ignore[attr-defined]
    first = (time.perf_counter() - start) * 1000
    for part in parts:
        lines += part.count(b"\n")
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{EXPORT}: {lines:,} lines, {lines / took:,.0f} a second ({lines / cpu:,.0f} of our CPU),"
        f" first byte after {first:.0f} ms, peak {peak:.0f} MB"
    )


def _setup(options: argparse.Namespace) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fnloader_site.settings")
    os.environ.setdefault("SECRET_KEY", "bench-" + "x" * 50)
    import django

    django.setup()
    from django.core.management import call_command

    from bench.lifelike import fill
    from loader.models import Feed

    call_command("migrate", verbosity=0)
    if not Feed.objects.exists():
        fill(attempts=options.attempts, feeds=options.feeds, records=options.records)
        _vacuum()


def _vacuum() -> None:
    """What autovacuum does in time: statistics, and the pages whose rows everybody may see."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def _boss() -> User:
    from django.contrib.auth.models import User

    return User.objects.get_or_create(username="bench", is_superuser=True, is_staff=True)[0]


if __name__ == "__main__":
    main()
