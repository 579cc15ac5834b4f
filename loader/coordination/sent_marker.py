"""Which sample was sent last: a marker for the loader that follows one that was killed on this machine (promise 4).

The start of an insert is committed while the previous one is in flight, so a loader that is killed leaves an attempt that may
never have been sent. Without the marker the next loader waits for FN4_INSERT_DEADLINE. Shared memory survives a process but
not a boot, and takes a marker in a microsecond. Without shared memory nothing is known, which is always safe.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

FOLDER = Path("/dev/shm")  # noqa: S108 - in it, a folder that is ours alone


class SentMarker:
    """The marker of one owner of a lease; the token of the lease is its name."""

    def __init__(self, token: str) -> None:
        self._file: int | None = None
        if path := _path(token):
            with suppress(OSError):
                self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def write(self, place: int) -> None:
        """The sample at this place of its batch is sent next; 0: none was."""
        if self._file is not None:
            os.pwrite(self._file, b"%010d" % place, 0)

    def close(self) -> None:
        """Ends writing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def last_sent(token: str) -> int | None:
    """The place that the owner of that lease marked last; None: unknown."""
    path = _path(token)
    if not path:
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return int(content) if re.fullmatch(rb"\d{10}", content) else None


def forget(token: str) -> None:
    """Deletes the marker."""
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
        status = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return folder / token if private else None
