"""`feeding`: a bucket of the OCI stand-in, a findNeighbour4 stand-in of its own, and fnload between them, as processes."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.clients import Fn4Sandbox, OciSandbox
from sandbox.genomes import fasta, mutant, reference
from tests.support.site import Manage

LENGTH = 600
REFERENCE = reference(LENGTH)


@dataclass
class Feeding:
    """What a test of fnload needs."""

    manage: Manage
    oci: OciSandbox
    bucket: str
    fn4: Fn4Sandbox
    sent: dict[str, str] = field(default_factory=dict)

    def put_samples(self, *samples: str, changes: int = 20) -> None:
        """Puts a good file for each sample, the first one earliest. With few changes the server links them to each other."""
        for number, sample in enumerate(samples, len(self.sent)):
            self.sent[sample] = mutant(REFERENCE, number, changes)
            created = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
            self.put(f"{sample}.fasta", fasta(sample, self.sent[sample]), created=created.isoformat())

    def put(self, name: str, content: bytes, **item: object) -> None:
        """Puts one file."""
        self.oci.put(self.bucket, name, content, **item)

    def add_feed_and_batch(self, folder: Path, records: int = 1) -> Path:
        """Adds the feed `tb`, and the batch `plc` of so many files below the folder, with a folder there as its store.

        Returns the folder of the files.
        """
        files, store = folder / "records", folder / "store"
        files.mkdir()
        store.mkdir()
        for number in range(records):
            (files / f"2026.{number}.xml").write_text("<record/>")
        self.manage.environment["BATCH_STORE_URL"] = store.as_uri()
        for command in (f"feed add tb {self.fn4.url} {self.oci.url(self.bucket)}", f"batch add plc {files}"):
            result = self.manage(*command.split())
            assert result.returncode == 0, result.stderr
        return files

    def load(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`fnload … --once`, to its end."""
        return self.manage("fnload", self.fn4.url, self.oci.namespace, self.bucket, "--once", *options, **environment)

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        """`fnload …`, left running."""
        return self.manage.start("fnload", self.fn4.url, self.oci.namespace, self.bucket, *options, **environment)

    def assert_every_sample_is_in_once(self) -> None:
        """Every good sample is in the server, byte for byte, and was stored by one insert."""
        samples = self.fn4.samples()
        assert {guid: samples[guid]["sha256"] for guid in samples if samples[guid]["sha256"]} == {
            guid: hashlib.sha256(sequence.encode()).hexdigest() for guid, sequence in self.sent.items()
        }
        assert all(samples[guid]["answers"].count(200) <= 1 for guid in samples)

    def attempts(self, columns: str, where: str = "1 = 1") -> list[tuple[Any, ...]]:
        """Columns of all attempts, in order."""
        return self.manage.rows(f"SELECT {columns} FROM fn4loadattempt WHERE {where} ORDER BY gp_int_id")

    def objects(self, columns: str = "name, state, result") -> list[tuple[Any, ...]]:
        """Columns of the ledger, by name."""
        return self.manage.rows(f"SELECT {columns} FROM loader_bucketobject ORDER BY name")


@pytest.fixture
def feeding(manage: Manage, oci: OciSandbox, oci_bucket: str) -> Iterator[Feeding]:
    """Stand-ins, a site of its own, and nothing in the bucket yet."""
    manage.environment |= oci.environ() | {"FN4_INSERT_DEADLINE": "2"}
    with Fn4Sandbox(LENGTH) as fn4:
        yield Feeding(manage, oci, oci_bucket, fn4)
