"""What a pass over a bucket of known objects costs, and what 20 feeds on 20 servers reach (`make bench`).

The bucket is a synthetic one of the OCI stand-in: its objects are computed, not stored. The first pass writes a row for
each; all are then marked as loaded, and the second pass is measured: one listing, and the look-up of every object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from sandbox.clients import Fn4Sandbox, OciSandbox
from sandbox.genomes import fasta, mutant, reference

ROOT = Path(__file__).parent.parent
PASS = """
import json, os, resource, sys, time
import django
django.setup()
from loader.feeds.manage import client_for, get_or_create_feed
from loader.ledger.scan import scan
from loader.pipeline.context import LoadContext
from loader.models import BucketObject
from objectstores import open_store
feed = get_or_create_feed(sys.argv[1], sys.argv[2], "default")
store = open_store(sys.argv[2])
context = LoadContext(feed, store, client_for(feed))
assert context.lease.acquire()
start = time.monotonic()
scan(feed, store, "default", context.clock, context.heartbeat)
first = time.monotonic() - start
BucketObject.objects.update(state="loaded")
start, cpu = time.monotonic(), time.process_time()
for _ in store.list():
    pass
listing = time.monotonic() - start
start, cpu = time.monotonic(), time.process_time()
scanned = scan(feed, store, "default", context.clock, context.heartbeat)
print(json.dumps({"listed": scanned.listed, "new": scanned.found, "first": first, "listing": listing,
    "pass": time.monotonic() - start, "cpu": time.process_time() - cpu,
    "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--feeds", type=int, default=20)
    options = parser.parse_args()
    for number in options.objects:
        known_objects(number)
    if options.feeds:
        side_by_side(options.feeds)


def known_objects(number: int) -> None:
    """A pass with nothing new, beside the listing alone."""
    with tempfile.TemporaryDirectory() as folder, OciSandbox("q", namespace="n") as oci, Fn4Sandbox(600) as fn4:
        oci.add_bucket("big", synthetic=number)
        environment = _environment(folder) | oci.environ()
        found = json.loads(_python(environment, "-c", PASS, fn4.url, oci.url("big")))
    print(
        f"{number:,} known objects: pass {found['pass']:.2f} s ({found['cpu']:.2f} CPU s), of which the listing alone "
        f"{found['listing']:.2f} s; peak {found['mb']:.0f} MB; the first pass, which writes them, {found['first']:.1f} s",
        flush=True,
    )


def side_by_side(number: int, samples: int = 30) -> None:
    """`fnload --all --once` over servers that take 100 ms, beside one of them alone."""
    of = reference(3000)
    rates = {}
    for servers in (1, number):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            oci = stack.enter_context(OciSandbox("q", namespace="n"))
            fn4s = [stack.enter_context(Fn4Sandbox(len(of), insert_seconds=0.1)) for _ in range(servers)]
            environment = _environment(folder) | oci.environ()
            for place, fn4 in enumerate(fn4s):
                oci.add_bucket(f"b{place}")
                oci.put_many(
                    f"b{place}", {f"s{one}.fasta": fasta(f"s{one}", mutant(of, one)) for one in range(samples)}
                )
                _python(environment, "manage.py", "feed", "add", f"f{place}", fn4.url, oci.url(f"b{place}"))
            _python(environment, "manage.py", "fnload", "--all", "--once")
            stats = [fn4.stats() for fn4 in fn4s]
            assert all(one["samples"] == samples for one in stats)
            span = max(one["last_end"] for one in stats) - min(one["first_start"] for one in stats)
            rates[servers] = servers * samples / span
        time.sleep(0.5)
    print(
        f"servers that take 100 ms: one {rates[1]:.1f} samples/s, {number} in one process {rates[number]:.1f}: "
        f"{rates[number] / rates[1]:.1f} times (wanted: 15)"
    )


def _environment(folder: str) -> dict[str, str]:
    environment = {
        "FNLOADER_ENV_FILE": os.devnull,
        "SECRET_KEY": "bench",
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "DJANGO_SETTINGS_MODULE": "fnloader_site.settings",
    }
    _python(environment, "manage.py", "migrate", "-v0")
    return environment


def _python(environment: dict[str, str], *words: str) -> str:
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    main()
