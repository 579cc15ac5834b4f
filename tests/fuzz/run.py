"""Fuzzes one target with atheris, in this process, until its time is over or an input fails: see `__main__`."""

from __future__ import annotations

import logging
import os
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import process_time

import atheris

from tests.fuzz.inputs import MAX_LENGTH, target

SECONDS = 0.25
"""Of processor time, for at most 16 kB of input: four times as much takes a second, unless time grows faster than length."""
HANGS = 20
"""Seconds after which an input is given up."""
MEGABYTES = 200
"""Which an input may need beside what the program needs."""
OURS = ["batches", "core", "fnloader_site", "loader", "objectstores"]


def main(name: str, seconds: int, folders: list[str]) -> None:
    """Ends the process, with a status that is not 0 if an input failed; it is then in the first of the folders."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": "sqlite://:memory:"}
    warnings.simplefilter("ignore")
    logging.disable()
    with atheris.instrument_imports(include=OURS):
        import django

        django.setup()
        check = target(name)
        check(b"")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    failed = Path(folders[0]).with_name(f"{name}-")
    options = {
        "max_total_time": seconds,
        "timeout": HANGS,
        # Inputs that take long are no better: most time is for the others.
        "entropic_scale_per_exec_time": 1,
        "rss_limit_mb": used + MEGABYTES,
        "max_len": MAX_LENGTH,
        "artifact_prefix": failed,
        "print_final_stats": 1,
        "verbosity": 0,
    }
    atheris.Setup([sys.argv[0], *(f"-{option}={value}" for option, value in options.items()), *folders], _timed(check))
    atheris.Fuzz()


def _timed(check: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def timed(data: bytes) -> None:
        before = process_time()
        check(data)
        took = process_time() - before
        assert took < SECONDS, f"{took:.2f} s of processor time"

    return timed


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
