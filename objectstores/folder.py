"""A folder of files as a store: the name of an object is the file's path below the folder, with `/`."""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from objectstores.base import (
    Changed,
    Denied,
    Misconfigured,
    NotFound,
    StoredObject,
    StoreError,
    TooLarge,
    Unavailable,
)
from objectstores.listing import below, names_of

_TEMPORARY = ".fnloader-"
_LATER = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE})


class FolderStore:
    """A `base.Store` on a local folder. Its etag says size, time of change and inode; there is no MD5.

    Links that lead out of the folder are as if they were not there; linked folders are not looked into at all.
    """

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        self.url = self._root.as_uri()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """As in `base.Store`. In memory are the names of one folder and of those above it; files that vanish meanwhile
        are not listed."""
        yield from self._walk("", prefix)

    def names(self, prefix: str = "", cuts: Sequence[str] = ()) -> Iterator[builtins.list[str]]:  # noqa: ARG002
        """As in `base.Store`, never split."""
        return names_of(self.list(prefix))

    def read(self, name: str, *, etag: str = "", limit: int = 0) -> bytes:
        """As in `base.Store`. Raises Unavailable when the file changes while it is read."""
        with self._explained(name), self._path(name, inside=True).open("rb") as file:
            before = os.fstat(file.fileno())
            if etag and _etag(before) != etag:
                raise Changed(f"{self.url}, {name}: the file is another version now")
            if limit and before.st_size > limit:
                raise TooLarge(f"{self.url}, {name}: {before.st_size} bytes, and {limit} are allowed")
            content = file.read(before.st_size + 1)
            if len(content) != before.st_size or _etag(os.fstat(file.fileno())) != _etag(before):
                raise Unavailable(f"{self.url}, {name}: the file changed while it was read")
        return content

    def write(self, name: str, content: bytes, *, only_if_absent: bool = False) -> str:
        """As in `base.Store`: the file is there whole, and on the disk, or not at all."""
        path = self._path(name, inside=False)
        with self._explained(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.parent / (_TEMPORARY + secrets.token_hex(8))
            try:
                etag = _write(temporary, content)
                if only_if_absent:
                    path.hardlink_to(temporary)
                else:
                    temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            _sync(path.parent)
        return etag

    def delete(self, names: Iterable[str]) -> int:
        """As in `base.Store`; folders that become empty stay."""
        sent = 0
        for name in names:
            with self._explained(name), contextlib.suppress(NotADirectoryError):
                self._path(name, inside=False).unlink(missing_ok=True)
            sent += 1
        return sent

    def describe(self) -> str:
        """As in `base.Store`."""
        return f"folder {self._root}"

    def close(self) -> None:
        """As in `base.Store`; nothing is kept open."""

    def _walk(self, folder: str, prefix: str) -> Iterator[StoredObject]:
        """The files below `folder` (empty, or ending with `/`) whose name starts with `prefix`."""
        for part in self._parts(folder):
            name = folder + part
            if part.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._walk(name, prefix)
            elif name.startswith(prefix) and (one := self._object(name)):
                yield one

    def _parts(self, folder: str) -> Iterable[str]:
        """The names in one folder, those of folders with a `/`: so they sort as the whole names do."""
        with self._explained(folder):
            try:
                with os.scandir(self._root / folder) as entries:
                    parts = [
                        entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
                        for entry in entries
                        if not entry.name.startswith(_TEMPORARY)
                    ]
            except (FileNotFoundError, NotADirectoryError):
                if not folder:
                    raise
                return []
        parts.sort()
        return parts

    def _object(self, name: str) -> StoredObject | None:
        with self._explained(name):
            try:
                name.encode()
                facts = (self._root / name).lstat()
                if stat.S_ISLNK(facts.st_mode):
                    facts = self._path(name, inside=True).stat()
            except UnicodeEncodeError as error:
                raise StoreError(f"{self.url}: the name {os.fsencode(name)!r} is no UTF-8") from error
            except (FileNotFoundError, NotADirectoryError, NotFound):
                return None
        if not stat.S_ISREG(facts.st_mode):
            return None
        return StoredObject(name, facts.st_size, _etag(facts), None, datetime.fromtimestamp(facts.st_mtime, UTC))

    def _path(self, name: str, *, inside: bool) -> Path:
        """Where the object is; NotFound when the way to it (with `inside`, itself too) is a link out of the folder."""
        parts = below(name, "", self.url).split("/")
        if any(part in ("", ".", "..") or "\0" in part or part.startswith(_TEMPORARY) for part in parts):
            raise Misconfigured(f"{name!r} can't be the name of a file in {self.url}")
        path = self._root / name
        if not (path if inside else path.parent).resolve().is_relative_to(self._root):
            raise NotFound(f"{self.url}, {name}: it leads out of the folder")
        return path

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turns an error of the file system into a StoreError."""
        try:
            yield
        except OSError as error:
            raise _kind(error)(f"{self.url}, {name}: {error.strerror or error}") from error


def _kind(error: OSError) -> type[StoreError]:
    if isinstance(error, FileNotFoundError):
        return NotFound
    if isinstance(error, FileExistsError):
        return Changed
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return Denied
    return Unavailable if error.errno in _LATER else StoreError


def _etag(facts: os.stat_result) -> str:
    return f"{facts.st_size:x}-{facts.st_mtime_ns:x}-{facts.st_ino:x}"


def _write(path: Path, content: bytes) -> str:
    """Writes a new file through to the disk; its etag."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        return _etag(os.fstat(file.fileno()))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
