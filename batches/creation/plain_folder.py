"""Which files of a plain folder are records, and what is left out: a folder holds more than its owner put there."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path

from core.exceptions import OperationRefused
from core.formatting import pluralize, printable

DEFAULT_PATTERNS = ("*.xml",)
MAX_EXAMPLES = 3
"""Names of each kind that are printed."""
_SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
_HIDDEN, _SYSTEM, _FOLDER, _LINK, _DEVICE, _OTHER = (
    ("hidden file or folder", "hidden files and folders"),
    ("file of the system or of an office program", "files of the system or of an office program"),
    ("subfolder", "subfolders"),
    ("link out of the folder", "links out of the folder"),
    ("device, pipe or broken link", "devices, pipes and broken links"),
    ("file that does not match", "files that do not match"),
)


@dataclass(frozen=True)
class FolderListing:
    """The files of a folder that are records, and the names of all else by kind."""

    files: list[tuple[str, int]]
    """Name and size of each, in byte order of their names."""
    patterns: Sequence[str]
    left_out: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    @property
    def empty_files(self) -> list[str]:
        """Files without content."""
        return [name for name, size in self.files if not size]

    def notes(self) -> list[str]:
        """A line for each kind of thing that is left out or can't be sent, with its number and the first names."""
        lines = []
        for kind, names in self.left_out.items():
            line = f"Left out: {pluralize(len(names), *kind)}"
            if kind == _OTHER:
                line += f" {' or '.join(self.patterns)}"
            line += f": {_examples(names)}."
            lines.append(line + (" To include such files: --pattern" if kind == _OTHER else ""))
        if empty := self.empty_files:
            lines.append(f"Unuploadable: {pluralize(len(empty), 'empty file')}: {_examples(empty)}.")
        return lines


def list_folder(folder: Path, patterns: Sequence[str], reports: Collection[str]) -> FolderListing:
    """Lists the files whose name matches one of the patterns, whatever its case; `reports` are step reports, never records.

    Hidden files, litter of systems and office programs, subfolders, and links that lead out of the folder are left out
    whatever the patterns. Raises OperationRefused if the folder can't be read, or no file matches.
    """
    matches = re.compile("|".join(translate(_folded(pattern)) for pattern in patterns)).match
    files: list[tuple[str, int]] = []
    left_out: dict[tuple[str, str], list[str]] = {}
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        for entry in found:
            if entry.name in reports:
                continue
            kind = _kind(entry, folder)
            if kind is None and matches(_folded(entry.name)):
                files.append((entry.name, entry.stat().st_size))
            else:
                left_out.setdefault(kind or _OTHER, []).append(entry.name)
    except OSError as error:
        raise OperationRefused(f"{folder} can't be read: {error.strerror}.") from error
    listing = FolderListing(files, patterns, left_out)
    if not files:
        raise OperationRefused(_nothing_matches(folder, listing))
    return listing


def _kind(entry: os.DirEntry[str], folder: Path) -> tuple[str, str] | None:
    """Why it can't be a record; None if it can."""
    name = entry.name
    if name.lower() in _SYSTEM_FILES or name.startswith(("~$", ".~lock.", "._", ".DS_Store")):
        return _SYSTEM
    if name.startswith("."):
        return _HIDDEN
    if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(os.path.realpath(folder)):
        return _LINK
    # Unlike an entry, a path does not raise for a link to itself.
    place = Path(entry.path) if entry.is_symlink() else entry
    if place.is_dir():
        return _FOLDER
    return None if place.is_file() else _DEVICE


def _nothing_matches(folder: Path, listing: FolderListing) -> str:
    others = listing.left_out.get(_OTHER, [])
    text = f"{folder} contains no files that match {' or '.join(listing.patterns)}."
    if not others:
        return " ".join([text, *listing.notes()])
    endings = Counter(Path(name).suffix for name in others)
    numbers = [
        f"{number:,} {printable(ending) or 'without an ending'}"
        for ending, number in endings.most_common(2 * MAX_EXAMPLES)
    ]
    more = ", …" if len(endings) > len(numbers) else ""
    example = printable(endings.most_common(1)[0][0])
    return f"{text} It contains {', '.join(numbers)}{more}. To add them, use for example --pattern '*{example}'"


def _examples(names: Sequence[str]) -> str:
    more = ", …" if len(names) > MAX_EXAMPLES else ""
    return ", ".join(printable(name) for name in names[:MAX_EXAMPLES]) + more


def _folded(name: str) -> str:
    """For a comparison that ignores case, and how a system composes its letters."""
    return unicodedata.normalize("NFC", name).casefold()
