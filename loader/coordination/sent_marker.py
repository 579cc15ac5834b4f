"""Which sample was sent last: a note for whoever comes after a loader that was killed on this machine (promise 4).

The start of an insert is committed while the one before is in flight, so a loader that is killed leaves one behind that was
perhaps never sent. Who can't tell waits for FN4_INSERT_DEADLINE. Shared memory outlives a process and not a boot, and
takes the note in a microsecond; where there is none, nothing is known, and that is always safe.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

FOLDER = Path("/dev/shm")  # noqa: S108 - in it, a folder that is ours alone


class SentMarker:
    """The note of one holder of a lease; its name is the lease's token."""

    def __init__(self, token: str) -> None:
        self._file: int | None = None
        if path := _path(token):
            with suppress(OSError):
                self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def note(self, place: int) -> None:
        """The sample at this place of its batch is sent next; 0: none was."""
        if self._file is not None:
            os.pwrite(self._file, b"%010d" % place, 0)

    def close(self) -> None:
        """Nothing more is noted."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def last_sent(token: str) -> int | None:
    """What the holder of that lease noted last; None: nothing is known."""
    path = _path(token)
    if not path:
        return None
    try:
        noted = path.read_bytes()
    except OSError:
        return None
    return int(noted) if re.fullmatch(rb"\d{10}", noted) else None


def forget(token: str) -> None:
    """Deletes the note."""
    if path := _path(token):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _path(token: str) -> Path | None:
    folder = FOLDER / f"fnloader-{os.getuid()}"
    if not re.fullmatch(r"[0-9a-f]{32}", token):
        return None
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder / token if private else None
