"""Every requirement is pinned, and what is installed, and so tested, is what is pinned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.fork_server import ROOT

FILES = sorted(ROOT.glob("requirements*.txt"))
PINNED = re.compile(r"([A-Za-z0-9._-]+)(?:\[[a-z-]+\])?==([0-9][0-9A-Za-z.]*)")


def requirements(path: Path) -> Iterator[str]:
    """The lines that name a package."""
    for line in path.read_text().splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement and not requirement.startswith("-r "):
            yield requirement


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_requirement_is_pinned_to_the_version_that_is_installed(path: Path) -> None:
    lines = list(requirements(path))
    assert lines
    loose = [line for line in lines if not PINNED.fullmatch(line)]
    assert loose == [], "pin it: name==version"
    pins = {match[1]: match[2] for line in lines if (match := PINNED.fullmatch(line))}
    assert {name: version(name) for name in pins} == pins, "make install"


def test_no_package_is_pinned_twice() -> None:
    names = [re.split(r"[\[=]", line)[0].lower() for path in FILES for line in requirements(path)]
    assert sorted(names) == sorted(set(names))
