"""One count or one upload of a batch, in its own process, timed from inside; prints JSON (for `bench/batches.py`)."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import django

Facts = dict[str, object]


def main() -> None:
    """`count` or `upload`, of the batch in the database; its start-up is not timed."""
    django.setup()
    from bench.pages import BATCH

    work = {"count": counted, "upload": uploaded}[sys.argv[1]](BATCH)
    start, cpu = time.perf_counter(), time.process_time()
    facts = work()
    facts |= {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu, "mb": peak()}
    print(json.dumps(facts))


def counted(bid: str) -> Callable[[], Facts]:
    """Remaining objects, as a check counts them: membership and validity of each key, and the digest of the names."""
    from django.conf import settings

    from batches.ingest.count import count
    from batches.models import Batch
    from objectstores import open_store

    batch, store = Batch.objects.get(bid=bid), open_store(settings.BATCH_STORE_URL)

    def work() -> Facts:
        with closing(store):
            counted = count(store, batch)
        return {"number": counted.remaining, "digest": counted.observation.digest}

    return work


def uploaded(bid: str) -> Callable[[], Facts]:
    """`batch upload`, without what it prints: each record's state is in the database before and after its object is put."""
    from django.conf import settings

    from batches.models import Batch
    from batches.upload.run import upload_batch
    from objectstores import open_store

    batch = Batch.objects.get(bid=bid)
    # The SDK is loaded with the first store; of s5cmd, too, the start-up is not counted.
    open_store(settings.BATCH_STORE_URL).close()
    return lambda: {"number": upload_batch(batch).outcomes.get("success", 0)}


def peak() -> float:
    """The most memory that this process had, in MB."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
