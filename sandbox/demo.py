"""Both jobs on local stand-ins, from an empty folder to a running site (`make demo`). Exit status 0 only if the outcome is right.

It writes only into the folder `demo`, which it empties first. It reads no `.env`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.clients import Fn4Sandbox, OciSandbox
from sandbox.genomes import GENOME, bad_files, fasta, mutant, reference
from sandbox.ingest import Ingest
from sandbox.logs import LogsSandbox
from sandbox.s3 import S3Sandbox

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "demo"
DATABASE = FOLDER / "db.sqlite3"
BATCH, RECORDS, BUCKET = "demo1", 300, "fast-import-bucket"
LOG_GROUP = "/aws/lambda/fast-import"
FAILING = [f"2026.{number}.1" for number in range(40, 300, 43)]
NAMESPACE, QUEUE, GENOMES = "lxxxx", "FN4-queue", 200
EXPECTED_ERRORS = 10
"""The exit status of ingstat and of fnload --once when something failed and was recorded (design.md, "Contracts")."""


@dataclass
class Demo:
    """One run of the demo."""

    stack: ExitStack
    environment: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Both jobs and their results."""
        self.begin()
        self.batch()
        self.loading()
        self.report()

    def begin(self) -> None:
        """An empty folder, a migrated database, a user."""
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        self.environment = {
            "FNLOADER_ENV_FILE": os.devnull,
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DATABASE_URL": f"sqlite:///{DATABASE}",
            "REPORTS_DIR": str(FOLDER / "reports"),
            "HOST_NAME": socket.gethostname(),
            "BATCH_STORE_URL": f"s3://{BUCKET}",
            "DJANGO_SUPERUSER_PASSWORD": secrets.token_urlsafe(9),
        }
        print("Setting up a database …", flush=True)
        self.manage("migrate", "-v0")
        self.manage("createsuperuser", "--noinput", "--username", "demo", "--email", "demo@example.org", "-v0")

    def batch(self) -> None:
        """A batch of records, some of which fail to ingest."""
        s3 = self.stack.enter_context(S3Sandbox(BUCKET))
        logs = self.stack.enter_context(LogsSandbox(LOG_GROUP))
        self.environment |= s3.environ() | logs.environ() | {"INGEST_LOG_GROUP": LOG_GROUP}
        title(
            f"1. A batch of {RECORDS} records, uploaded to an S3 server (SeaweedFS) and ingested by a stand-in of the Lambda"
        )
        folder = FOLDER / BATCH
        folder.mkdir()
        for number in range(RECORDS):
            (folder / f"2026.{number}.1.xml").write_text(
                f"<document><objectNumber>2026.{number}.1</objectNumber></document>"
            )
        failing = FOLDER / "failing.txt"
        failing.write_text("\n".join(FAILING) + "\n")
        self.manage("batch", "add", BATCH, str(folder))
        self.manage("batch", "upload", BATCH)
        with Ingest(s3.environ() | logs.environ(), BUCKET, rate=60, fail_identifiers=failing, log_group=LOG_GROUP):
            options = ["--sleep", "0.5", "--checks", "60", "--rechecks", "3"]
            self.manage("ingstat", BATCH, *options, expected=EXPECTED_ERRORS)
        self.manage("batch", "show", BATCH)

    def loading(self) -> None:
        """Genomes, good and bad, from an OCI bucket into findNeighbour4."""
        oci = self.stack.enter_context(OciSandbox(QUEUE, namespace=NAMESPACE))
        fn4 = self.stack.enter_context(Fn4Sandbox(GENOME, insert_seconds=0.01))
        self.environment |= oci.environ()
        bad = bad_files(reference())
        title(
            f"2. {GENOMES} genomes, one of them twice, and {len(bad)} bad files, from OCI into findNeighbour4 (stand-ins)"
        )
        good = {f"sample-{number:03}": mutant(reference(), number) for number in range(GENOMES)}
        oci.put_many(QUEUE, {f"{sample}.fasta": fasta(sample, genome) for sample, genome in good.items()})
        oci.put(QUEUE, "again/sample-007.fasta", fasta("sample-007", good["sample-007"]))
        oci.put_many(QUEUE, {name: content for name, (content, _) in bad.items()})
        self.manage("fnload", fn4.url, NAMESPACE, QUEUE, "--once", expected=EXPECTED_ERRORS)
        self.check("samples in the server", len(fn4.guids()), GENOMES)
        self.manage("fnload", fn4.url, NAMESPACE, QUEUE, "--once")

    def report(self) -> None:
        """Compares the tables with the expected numbers."""
        title("Results")
        bad = len(bad_files(reference()))
        batch = f"FROM batches_batch WHERE bid = '{BATCH}'"
        self.check("records ingested", self.ask(f"SELECT ingest_oks {batch}"), RECORDS - len(FAILING))
        self.check("records failed", self.ask(f"SELECT ingest_errs {batch}"), len(FAILING))
        self.check(
            "failed records with their message from the log",
            self.ask(
                "SELECT count(*) FROM batches_batchrecord WHERE ingest_outcome = 'failure' AND ingest_message > ''"
            ),
            len(FAILING),
        )
        attempts = "SELECT count(*) FROM fn4loadattempt WHERE"
        self.check(
            "samples inserted", self.ask(f"{attempts} outcome = 'inserted' AND insert_status_code = 200"), GENOMES
        )
        self.check("samples already there", self.ask(f"{attempts} outcome = 'present'"), 1)
        self.check("files rejected", self.ask(f"{attempts} outcome = 'rejected'"), bad)
        self.check("attempts left open", self.ask(f"{attempts} outcome = 'open'"), 0)
        report = FOLDER / "reports" / BATCH / "ingest_report.csv"
        lines = report.read_text().splitlines() if report.is_file() else []
        failed = sum(any(f".{identifier.split('.')[1]}." in line for identifier in FAILING) for line in lines)
        self.check(f"failed records in {report.relative_to(ROOT)}", failed, len(FAILING))

    def serve(self) -> None:
        """The site, until Ctrl-C."""
        port = free_port()
        password = self.environment["DJANGO_SUPERUSER_PASSWORD"]
        title("The site")
        print(f"  http://127.0.0.1:{port}/    login: demo    password: {password}    (Ctrl-C to stop)", flush=True)
        command = [
            sys.executable,
            "-W",
            "ignore",
            "manage.py",
            "runserver",
            f"127.0.0.1:{port}",
            "--noreload",
            "--skip-checks",
        ]
        environment = os.environ | self.environment
        subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )

    def manage(self, *words: str, expected: int = 0) -> None:
        """Runs a command as its user would, and prints it."""
        if words[0] in ("batch", "ingstat", "fnload"):
            print("$ python manage.py " + " ".join(word.replace(f"{ROOT}/", "") for word in words), flush=True)
        result = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=os.environ | self.environment, check=False
        )
        if result.returncode != expected:
            self.wrong.append(f"{' '.join(words[:2])} exited with {result.returncode}, expected {expected}")

    def ask(self, sql: str) -> object:
        """One value from the database; None where there is none."""
        connection = sqlite3.connect(DATABASE)
        try:
            row = connection.execute(sql).fetchone()
            return row[0] if row else None
        finally:
            connection.close()

    def check(self, what: str, found: object, wanted: object) -> None:
        """Prints a number, and remembers it if it is wrong."""
        print(
            f"  {'ok   ' if found == wanted else 'WRONG'} {what}: {found}"
            + ("" if found == wanted else f", expected {wanted}"),
            flush=True,
        )
        if found != wanted:
            self.wrong.append(what)


def title(text: str) -> None:
    """Prints a heading."""
    print(f"\n{text}\n", flush=True)


def free_port() -> int:
    """8000 if it is free, else any."""
    for port in (8000, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("No free port on 127.0.0.1.")


def main() -> int:
    """Runs the demo."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--exit", action="store_true", help="exit after the report: 0 only if all is right")
    options = parser.parse_args()
    with ExitStack() as stack:
        demo = Demo(stack)
        try:
            demo.run()
            if demo.wrong:
                title("Unexpected: " + "; ".join(demo.wrong))
            if not options.exit:
                demo.serve()
        except KeyboardInterrupt:
            print("\nStopped.")
    return 1 if demo.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
