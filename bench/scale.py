"""One and two clusters of background jobs on one PostgreSQL and one Redis (`make bench`; docs/scaling.md).

How many samples a second reach 20 servers that take 100 ms an insert, and how long it takes until 50 batches are counted.
Everything runs on this one machine, stand-ins and databases too: what is measured is where the parts slow each other down.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import redis

from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta, mutant, reference

ROOT = Path(__file__).parent.parent
POSTGRES = os.environ.get("FNLOADER_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/15"
LENGTH = 30_000
SEED = """
import os
from pathlib import Path
from django.utils import timezone
from batches.keys import digest, encode
from batches.models.batch import Batch
from batches.models import BatchRecord
from loader.feeds.manage import add_feed
for number, url in enumerate(os.environ["BENCH_SERVERS"].split()):
    add_feed(f"f{number}", url, os.environ["BENCH_QUEUE"], "default", scheduled=True)
now, bucket = timezone.now(), Path(os.environ["BENCH_BUCKET"])
for number in range(int(os.environ["BENCH_BATCHES"])):
    bid = f"b{number:03}"
    times = dict.fromkeys(("uploaded_at", "upload_started", "upload_finished", "ingest_start_time"), now)
    batch = Batch.objects.create(bid=bid, rectype="collectionobject", action="CREATE", status="uploaded",
        store_url=bucket.as_uri(), record_count=200, upload_runs=1, upload_oks=200, upload_errs=0, **times)
    keys = [encode(bid, "/collectionobjects", f"A{row}", "CREATE") for row in range(200)]
    for key in keys:
        (bucket / key).write_bytes(b"")
    BatchRecord.objects.bulk_create(BatchRecord(batch=batch, row=row, key=key, key_digest=digest(key),
        upload_outcome="success") for row, key in enumerate(keys, 1))
"""
NUDGE = "from django_q.tasks import async_task; async_task('{}')"


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--workers", type=int, nargs="*", default=[5, 10, 20], help="workers of each cluster")
    parser.add_argument("--servers", type=int, default=20)
    parser.add_argument("--samples", type=int, default=60, help="samples of each server")
    parser.add_argument("--batches", type=int, default=50)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        put_samples(folder / "queue", options.samples)
        for workers in options.workers:
            for clusters in options.clusters:
                servers = [stack.enter_context(Fn4Sandbox(LENGTH, insert_seconds=0.1)) for _ in range(options.servers)]
                measure(folder, servers, clusters, workers, options.samples, options.batches)
                for server in servers:
                    server.stop()


def put_samples(folder: Path, samples: int) -> None:
    """The files that every server is fed with."""
    folder.mkdir()
    genome = reference(LENGTH)
    for number in range(samples):
        (folder / f"s{number}.fasta").write_bytes(fasta(f"s{number}", mutant(genome, number)))


def measure(folder: Path, servers: list[Fn4Sandbox], clusters: int, workers: int, samples: int, batches: int) -> None:
    """One line for this number of clusters and workers."""
    with database() as url, tempfile.TemporaryDirectory() as bucket:
        environment = os.environ | {
            "DATABASE_URL": url,
            "REDIS_URL": REDIS,
            "JOB_QUEUE": url.rpartition("/")[2],
            "SECRET_KEY": "bench" * 20,
            "FNLOADER_ENV_FILE": os.devnull,
            "HOST_NAME": "one",
            "LOG_LEVEL": "WARNING",
            "BENCH_BUCKET": bucket,
            "FILE_STORES": f"{folder}:{bucket}",
            "BENCH_BATCHES": str(batches),
        }
        manage(environment, "migrate", "-v0")
        environment["BENCH_SERVERS"] = " ".join(server.url for server in servers)
        environment["BENCH_QUEUE"] = (folder / "queue").as_uri()
        manage(environment, "shell", "-v0", "-c", SEED)
        with psycopg.connect(url) as connection:
            connection.execute(b"UPDATE django_q_schedule SET repeats = 0")
        with running(environment, clusters, workers):
            loading = nudge_until(
                environment,
                url,
                "loader.tasks.nudge_feeds",
                "SELECT count(*) FROM loader_bucketobject WHERE state = 'loaded'",
                samples * len(servers),
            )
            counting = nudge_until(
                environment,
                url,
                "batches.tasks.nudge_batches",
                "SELECT count(DISTINCT batch_id) FROM batches_ingestcheck",
                batches,
            )
        print(
            f"{clusters} cluster(s) of {workers} workers: {samples * len(servers) / loading:6.1f} samples/s over"
            f" {len(servers)} servers; {batches} batches counted in {counting:.1f} s",
            flush=True,
        )


def nudge_until(environment: dict[str, str], url: str, function: str, question: str, wanted: int) -> float:
    """Seconds from the nudge until the answer is as wanted. The schedules are off: nothing else is nudged."""
    manage(environment, "shell", "-v0", "-c", NUDGE.format(function))
    begun = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            row = connection.execute(question.encode()).fetchone()
            if row and row[0] >= wanted:
                return time.monotonic() - begun
            if time.monotonic() - begun > 600:
                raise SystemExit(f"only {row} of {wanted} after ten minutes: {question}")
            time.sleep(0.05)


@contextmanager
def running(environment: dict[str, str], clusters: int, workers: int) -> Iterator[None]:
    """That number of clusters, each with its own host name."""
    settings = {"JOB_WORKERS": str(workers), "JOB_STRETCH": "30"}
    processes = [
        subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=ROOT,
            env=environment | settings | {"HOST_NAME": f"host{number}"},
            stderr=subprocess.DEVNULL,
        )
        for number in range(clusters)
    ]
    time.sleep(3 + 0.2 * workers * clusters)  # until all workers wait
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


@contextmanager
def database() -> Iterator[str]:
    """A new database, and a queue of the same name."""
    name = f"fnloader_bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(POSTGRES, autocommit=True) as connection, redis.from_url(REDIS) as broker:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield POSTGRES.rsplit("/", 1)[0] + "/" + name
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            broker.delete(*broker.keys(f"django_q:{name}:*") or [name])


def manage(environment: dict[str, str], *words: str) -> None:
    """Runs a command to its end."""
    subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
    )


if __name__ == "__main__":
    main()
