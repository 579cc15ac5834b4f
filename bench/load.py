"""How fast `fnload --once` feeds a server, beside a bare script in the same run (`make bench`).

Both load the same bucket of the OCI stand-in, which verifies every signature, into a findNeighbour4 stand-in. What is
measured is the time from the first list request to the last insert's answer, as the stand-ins saw it; rounds alternate
and the median counts. CPU seconds are those of the loading process, its start included.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sandbox.clients import Fn4Sandbox, OciSandbox
from sandbox.genomes import fasta, mutant, reference

ROOT = Path(__file__).parent.parent
NAMESPACE, BUCKET = "lxxxx", "FN4-queue"
CONNECT_LATE = """
import sys
from django.core.management import execute_from_command_line
from loader.fn4.client import FindNeighbour4
FindNeighbour4.prepare = lambda *_: None
execute_from_command_line(sys.argv)
"""
"""fnload that opens each connection only when it sends."""


@dataclass
class Run:
    """One measured run."""

    seconds: float
    cpu: float
    busy: float
    typical: float
    """The busy share by the median insert and the median pause between two: what a machine that is not interrupted would show."""


def main() -> None:
    """Runs the three cases of the issue and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--postgres", default="", help="URL of an empty database to use instead of SQLite files")
    options = parser.parse_args()
    compare("500 x 30 kB, server takes no time", 500, 29_903, options.rounds)
    compare("30 x 4.4 MB, server takes no time", 30, 4_411_532, options.rounds)
    for workers in (4, 1):
        busy_share(options.rounds, workers)
    present_and_new(100_000, 1000)


def compare(title: str, samples: int, length: int, rounds: int) -> None:
    """fnload beside the bare script."""
    of = reference(length)
    files = {f"q/s{number}.fasta": fasta(f"s{number}", mutant(of, number)) for number in range(samples)}
    runs: dict[str, list[Run]] = {"bare": [], "fnload": []}
    for _ in range(rounds):
        for kind, found in runs.items():
            found.append(measure(kind, files, length, 0.0, 0.0))
    rate = {kind: samples / statistics.median(run.seconds for run in found) for kind, found in runs.items()}
    cpu = {kind: statistics.median(run.cpu for run in found) / samples * 1000 for kind, found in runs.items()}
    print(f"{title} (median of {rounds})")
    for kind in runs:
        print(f"  {kind:8}{rate[kind]:9.1f} samples/s  {cpu[kind]:7.2f} CPU ms a sample")
    print(f"  fnload / bare: {rate['fnload'] / rate['bare']:.2f} (wanted: at least 0.5)")


def busy_share(rounds: int, workers: int) -> None:
    """The share of the time, from its first insert to its last, in which the server had an insert.

    With one worker a connection that is opened ahead waits in the backlog: fnload is also measured without.
    """
    of = reference()
    files = {f"q/s{number}.fasta": fasta(f"s{number}", mutant(of, number)) for number in range(300)}
    print(f"300 x 30 kB, 50 ms a download, 25 ms an insert, {workers} workers (median of {rounds})")
    for kind in ("bare", "fnload", "late"):
        runs = [measure(kind, files, len(of), 0.050, 0.025, workers) for _ in range(rounds)]
        share, typical = (
            statistics.median(values) for values in zip(*((run.busy, run.typical) for run in runs), strict=True)
        )
        wanted = {"fnload": " (wanted: 97 %, and not below late)", "late": " (fnload that connects when it sends)"}.get(
            kind, ""
        )
        print(f"  {kind:8} server busy {share:6.1%}, by medians {typical:6.1%}{wanted}")


def present_and_new(present: int, new: int) -> None:
    """A pass over a bucket of which most is in the server already: what the questions cost."""
    length = 1000
    of = reference(length)
    old = [f"p{number:06}" for number in range(present)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Fn4Sandbox(length, store=f"{folder}/samples", insert_seconds=0.0) as fn4,
    ):
        queue = Path(folder) / "queue"
        queue.mkdir()
        for name in old:
            fn4.insert(name, of)
        environment = os.environ | {"SECRET_KEY": "bench", "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3"}
        environment["FILE_STORES"] = folder
        manage = [sys.executable, "manage.py"]
        subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
        load = [*manage, "fnload", fn4.url, queue.as_uri(), "--once"]
        subprocess.run(load, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        for number in range(new):
            (queue / f"n{number}.fasta").write_bytes(fasta(f"n{number}", mutant(of, number)))
        subprocess.run(
            [
                *manage,
                "shell",
                "-c",
                "from loader.models import Server; Server.objects.update(asked_at=None, counted_at=None)",
            ],
            cwd=ROOT,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        fn4.clear_log()
        started = time.monotonic()
        subprocess.run(load, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        took, asked = time.monotonic() - started, fn4.log("GET")
        print(f"{new:,} new samples, {present:,} in the server: {took:.1f} s")
        calls: dict[str, list[float]] = defaultdict(list)
        for request in asked:
            what = request["target"].rsplit("/api/v2/", 1)[1]
            calls[what.rpartition("/")[2] if what.endswith(("/exists", "/annotation")) else what].append(
                request["ended"] - request["started"]
            )
        for what, seconds in sorted(calls.items()):
            print(f"  {len(seconds):5} x {what:28} {sum(seconds):6.3f} s")


def measure(
    kind: str, files: dict[str, bytes], length: int, read_delay: float, insert_seconds: float, workers: int = 0
) -> Run:
    """One run on fresh stand-ins and a fresh database."""
    with (
        tempfile.TemporaryDirectory() as folder,
        OciSandbox(BUCKET, namespace=NAMESPACE, read_delay=read_delay) as oci,
        Fn4Sandbox(length, insert_seconds=insert_seconds, workers=workers) as fn4,
    ):
        oci.put_many(BUCKET, files)
        environment = (
            os.environ | oci.environ() | {"SECRET_KEY": "bench", "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3"}
        )
        command = [sys.executable, "-m", "bench.bare", fn4.url, NAMESPACE, BUCKET]
        if kind != "bare":
            environment["DJANGO_SETTINGS_MODULE"] = "fnloader_site.settings"
            subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
            program = ["manage.py"] if kind == "fnload" else ["-c", CONNECT_LATE]
            command = [sys.executable, *program, "fnload", fn4.url, NAMESPACE, BUCKET, "--once"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        stats = fn4.stats()
        assert stats["samples"] == len(files), f"{kind} loaded {stats['samples']} of {len(files)}"
        began = min(request["started"] for request in oci.log("GET", f"/n/{NAMESPACE}/b/{BUCKET}/o"))
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        inserts = [(request["started"], request["ended"]) for request in fn4.log("POST")]
        insert = statistics.median(end - start for start, end in inserts)
        pause = statistics.median(after[0] - before[1] for before, after in pairwise(inserts))
        return Run(stats["last_end"] - began, cpu, stats["busy_share"], insert / (insert + pause))


if __name__ == "__main__":
    main()
