"""Fetched files take a bounded part of the memory, however small they are packed."""

from __future__ import annotations

import gzip
import threading

import pytest

from loader.pipeline.memory import BudgetClosed, MemoryBudget
from loader.pipeline.prefetch import PREFETCHED_BYTES
from tests.support.feeding import Feeding

UNPACKED = 40_000_000
FILES = 16


def test_small_files_that_unpack_to_much_are_held_a_few_at_a_time(feeding: Feeding) -> None:
    """48 such files of 29 kB took 2.2 GB. The letters are good, so that each is held until it is inserted."""
    for number in range(FILES):
        sample = f"s{number:02}"
        text = f">GPAS_SP3|{sample}\n".encode() + b"A" * UNPACKED
        feeding.put(f"{sample}.fasta.gz", gzip.compress(text), created=f"2026-01-01T00:00:{number:02}Z")
    code = (
        "import resource; from django.core.management import call_command\n"
        f"try: call_command('fnload', {feeding.fn4.url!r}, {feeding.oci.namespace!r}, {feeding.bucket!r}, '--once')\n"
        "finally: print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    shell = feeding.manage.start("shell", "-v0", "-c", code)
    out, err = shell.communicate()
    peak = int(out.split("peak ")[1].split()[0]) * 1024
    assert FILES * UNPACKED > 2 * PREFETCHED_BYTES + 8 * UNPACKED, "all of them are more"
    assert peak < 2 * PREFETCHED_BYTES + 8 * UNPACKED, (peak, out[-500:], err[-500:])


def test_the_first_may_exceed_the_budget_and_the_others_wait() -> None:
    budget, took = MemoryBudget(10), threading.Event()
    budget.wait_for(8, lambda: False)
    assert not budget.has_room(3)
    budget.wait_for(100, lambda: True)

    def wait() -> None:
        budget.wait_for(5, lambda: False)
        took.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not took.wait(0.05)
    budget.give_back(100)
    budget.give_back(4)
    waiting.join()
    assert took.is_set()
    budget.close()
    with pytest.raises(BudgetClosed):
        budget.wait_for(1, lambda: True)
