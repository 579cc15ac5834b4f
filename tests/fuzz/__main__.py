"""`python -m tests.fuzz [TARGET …] [--minutes 1]`: fuzzes one target after the other, and says what each has found."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz.inputs import CORPUS, TARGETS

FOUND = Path("build/fuzz")
"""Inputs that reach new code, by target, and beside them those that failed."""


def fuzz(name: str, seconds: int) -> bool:
    """Whether no input failed."""
    folder = FOUND / name
    folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "tests.fuzz.run", name, str(seconds), str(folder), str(CORPUS / name)]
    process = subprocess.run(words, capture_output=True, text=True, errors="replace")
    output = process.stdout + process.stderr
    inputs = re.search(r"stat::number_of_executed_units: (\d+)", output)
    memory = re.search(r"stat::peak_rss_mb: +(\d+)", output)
    print(f"{name:16}{int(inputs[1]) if inputs else 0:>12,} inputs{memory[1] if memory else '?':>6} MB", end="  ")
    lines = [line for line in output.splitlines() if not line.startswith(("INFO: Inst", "WARNING: "))]
    print("no failure" if not process.returncode else "\n".join(["FAILED", *lines]), flush=True)
    return not process.returncode


def main() -> int:
    """The status of the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all, or some of: {', '.join(TARGETS)}")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    options = parser.parse_args()
    if unknown := sorted(set(options.targets) - set(TARGETS)):
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    results = [fuzz(name, round(options.minutes * 60)) for name in options.targets or TARGETS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
