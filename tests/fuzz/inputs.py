"""Targets and their inputs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"
TARGETS = sorted(path.stem for path in (FOLDER / "targets").glob("[a-z]*.py"))
MAX_LENGTH = 4096
"""Bytes of a file of the corpus."""
MAX_UNROLLED = 16_384


def unrolled(data: bytes) -> bytes:
    """What an input stands for: itself, or, if it begins with 0xff 0xff, one whose middle part is repeated up to 16 kB.

    Then follow the length of the part before the middle, that of the middle, and all three parts. A fuzzer makes short
    inputs, and what takes too long is often long and the same all over.
    """
    if not data.startswith(b"\xff\xff") or len(data) < 5:
        return data
    start, length, rest = data[2], data[3] or 1, data[4:]
    middle = rest[start : start + length]
    before, after = rest[:start], rest[start + length :]
    times = (MAX_UNROLLED - len(before) - len(after)) // (len(middle) or 1)
    return before + middle * times + after


def target(name: str) -> Callable[[bytes], None]:
    """The target of this name, prepared."""
    module = importlib.import_module(f"tests.fuzz.targets.{name}")
    if prepare := getattr(module, "prepare", None):
        prepare()
    check: Callable[[bytes], None] = module.check
    return lambda data: check(unrolled(data))
