"""A bucket that does not list in byte order is loaded as completely as any other."""

from __future__ import annotations

from sandbox.genomes import fasta, mutant
from sandbox.s3 import S3Sandbox
from tests.support.feeding import REFERENCE, Feeding


def test_every_file_of_a_store_that_sorts_folder_by_folder_is_loaded(
    feeding: Feeding, s3: S3Sandbox, bucket: str
) -> None:
    names = {"s1": "a/s1.fasta", "s2": "a-b/s2.fasta", "s3": "a.c/s3.fasta", "s4": "b.fasta/s4.fasta"}
    feeding.sent = {sample: mutant(REFERENCE, number) for number, sample in enumerate(names)}
    s3.put_many(bucket, {name: fasta(sample, feeding.sent[sample]) for sample, name in names.items()})
    result = feeding.manage("fnload", feeding.fn4.url, f"s3://{bucket}", "--once", **s3.environ())
    assert result.returncode == 0, result.stdout + result.stderr
    feeding.assert_every_sample_is_in_once()
    assert [name for (name,) in feeding.objects("name")] == sorted(names.values())
