"""Paths that a CSV names, of whatever system: found by their last parts below a folder of ours, in any Unicode spelling."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from batches.keys import comparable

_DRIVE = re.compile(r"[A-Za-z]:")


def endings(text: str) -> Iterator[Path]:
    r"""Its last parts, the longest first: `C:\a\b`, `\\server\a\b` and `/a/b` all give `a/b` and `b`. None leads upwards."""
    parts = [part for part in re.split(r"[\\/]", _DRIVE.sub("", text, count=1)) if part not in ("", ".")]
    parts = [part for part in parts if not _DRIVE.fullmatch(part)]
    for start in range(len(parts)):
        if ".." not in parts[start:]:
            yield Path(*parts[start:])


class FoundFile(NamedTuple):
    """A file that a report names."""

    name: str
    """Relative to the folder; as it was named if it was not found."""
    size: int | None
    """None: not found, or outside."""
    is_outside: bool = False
    """There is such a file, but not in the folder."""


@dataclass
class FolderFiles:
    """Finds the files of a folder. Never one outside of it, by `..` or by a link."""

    folder: Path
    _names: dict[Path, dict[str, list[str]]] = field(default_factory=dict)
    _root: str = ""

    def __post_init__(self) -> None:
        self._root = os.path.realpath(self.folder)

    def find(self, text: str) -> FoundFile:
        """The file of that path, otherwise the one that its last parts lead to."""
        is_outside = False
        for candidate in filter(None, chain([self.folder / text], map(self._spelled, endings(text)))):
            try:
                status = candidate.stat()
            except (OSError, ValueError):
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            if not Path(os.path.realpath(candidate)).is_relative_to(self._root):
                is_outside = True
            elif candidate.is_relative_to(self.folder) and ".." not in candidate.parts:
                return FoundFile(str(candidate.relative_to(self.folder)), status.st_size)
        return FoundFile(text, None, is_outside)

    def _spelled(self, ending: Path) -> Path | None:
        """The path with its parts as they are spelled on disk; None if there is none, or more than one."""
        place = self.folder
        for part in ending.parts:
            if os.path.lexists(place / part):
                place /= part
                continue
            if place not in self._names:
                self._names[place] = {}
                with suppress(OSError):
                    for name in os.listdir(place):  # noqa: PTH208 - names, not paths
                        self._names[place].setdefault(comparable(name), []).append(name)
            names = self._names[place].get(comparable(part), [])
            if len(names) != 1:
                return None
            place /= names[0]
        return place
