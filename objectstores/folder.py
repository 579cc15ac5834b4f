"""A folder of files as a store: the name of an object is the path of the file below the folder, with `/`."""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from objectstores.base import (
    Changed,
    Denied,
    Misconfigured,
    NewerThan,
    NotFound,
    StoredObject,
    StoreError,
    TooLarge,
    Unavailable,
)
from objectstores.listing import chunked, names_of, validate_name

_TEMPORARY_PREFIX = ".fnloader-"
_TRANSIENT = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE}
)


class FolderStore:
    """A `base.Store` on a local folder. Its etag is made of size, time of change and inode; there is no MD5.

    It lists and reads regular files only. Links out of the folder are ignored, and linked folders are not followed, whatever
    a name becomes between listing and reading it. Bytes of a name that are not UTF-8 are listed as lone surrogates.
    """

    sorted_here = False

    def __init__(self, folder: Path) -> None:
        self._root = Path(os.path.realpath(folder))
        self.url = self._root.as_uri()

    def list(
        self,
        prefix: str = "",
        on_page: Callable[[], None] = lambda: None,  # noqa: ARG002 - it lists in byte order
    ) -> Iterator[StoredObject]:
        """As in `base.Store`. It holds the names of one folder and its parents in memory; files that vanish meanwhile are
        not listed."""
        yield from self._walk(prefix)

    def names(
        self,
        prefix: str = "",
        cuts: Sequence[str] = (),  # noqa: ARG002 - it does not split
        newer: NewerThan | None = None,
    ) -> Iterator[builtins.list[str]]:
        """As in `base.Store`, without splitting."""
        return chunked(names_of(self.list(prefix), newer))

    def read(self, name: str, *, etag: str = "", limit: int = 0) -> bytes:
        """As in `base.Store`. Raises Unavailable if the file changes while it is read."""
        path = self._path(name, inside=True)
        with (
            self._translated_errors(name),
            self._opened(path) as descriptor,
            os.fdopen(descriptor, "rb", closefd=False) as file,
        ):
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise NotFound(f"{self.url}, {name}: not a regular file")
            if etag and _etag(before) != etag:
                raise Changed(f"{self.url}, {name}: the file has changed")
            if limit and before.st_size > limit:
                raise TooLarge(f"{self.url}, {name}: {before.st_size} bytes exceed the limit of {limit}")
            content = file.read(before.st_size + 1)
            if len(content) != before.st_size or _etag(os.fstat(file.fileno())) != _etag(before):
                raise Unavailable(f"{self.url}, {name}: the file changed while it was read")
        return content

    def write(self, name: str, content: bytes, *, only_if_absent: bool = False) -> str:
        """As in `base.Store`: the file is complete and on disk, or does not exist."""
        path, temporary = self._path(name, inside=False), _TEMPORARY_PREFIX + secrets.token_hex(8)
        with self._translated_errors(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._folder(path.parent) as folder:
                try:
                    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
                    with os.fdopen(descriptor, "wb") as file:
                        file.write(content)
                        file.flush()
                        os.fsync(file.fileno())
                        etag = _etag(os.fstat(file.fileno()))
                    if only_if_absent:
                        os.link(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
                    else:
                        os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
                finally:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(temporary, dir_fd=folder)
                os.fsync(folder)
        return etag

    def delete(self, names: Iterable[str]) -> int:
        """As in `base.Store`; empty folders stay."""
        sent = 0
        for name in names:
            path = self._path(name, inside=False)
            with (
                self._translated_errors(name),
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                self._folder(path.parent) as folder,
            ):
                os.unlink(path.name, dir_fd=folder)
            sent += 1
        return sent

    def describe(self) -> str:
        """As in `base.Store`."""
        return f"folder {self._root}"

    def close(self) -> None:
        """As in `base.Store`; nothing is open."""

    def _walk(self, prefix: str) -> Iterator[StoredObject]:
        """The files whose name starts with `prefix`."""
        # No recursion: folders may be nested deeper than Python's calls.
        folders = [iter(self._entries(""))]
        while folders:
            name = next(folders[-1], None)
            if name is None:
                folders.pop()
            elif name.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    folders.append(iter(self._entries(name)))
            elif name.startswith(prefix) and (file := self._object(name)):
                yield file

    def _entries(self, folder: str) -> Iterable[str]:
        """The full names in one folder (empty, or ending with `/`), subfolders with a `/`, so that they sort as names do.

        A folder too deep to be named to the system has none.
        """
        with self._translated_errors(folder):
            try:
                with self._folder(self._root / folder) as descriptor, os.scandir(descriptor) as entries:
                    names = [
                        entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
                        for entry in entries
                        if not entry.name.startswith(_TEMPORARY_PREFIX)
                    ]
            except (FileNotFoundError, NotADirectoryError, NotFound):
                if not folder:
                    raise
                return []
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                return []
        names.sort()
        return (folder + name for name in names)

    def _object(self, name: str) -> StoredObject | None:
        with self._translated_errors(name):
            try:
                status = (self._root / name).lstat()
                if stat.S_ISLNK(status.st_mode):
                    status = self._path(name, inside=True).stat()
            except (FileNotFoundError, NotADirectoryError, NotFound):
                return None
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
                    raise
                return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return StoredObject(name, status.st_size, _etag(status), None, datetime.fromtimestamp(status.st_mtime, UTC))

    def _path(self, name: str, *, inside: bool) -> Path:
        """The path of the object; raises NotFound if its folder (with `inside`, itself too) links out of the store."""
        parts = validate_name(name, "", self.url).split("/")
        if any(part in ("", ".", "..") or "\0" in part or part.startswith(_TEMPORARY_PREFIX) for part in parts):
            raise Misconfigured(f"{name!r} is not a valid file name in {self.url}")
        path = self._root / name
        # Path.resolve raises RuntimeError for a link to itself.
        if not Path(os.path.realpath(path if inside else path.parent)).is_relative_to(self._root):
            raise NotFound(f"{self.url}, {name}: links out of the folder")
        return path

    @contextlib.contextmanager
    def _opened(self, path: Path, flags: int = 0) -> Iterator[int]:
        """A descriptor for reading; raises NotFound if what was opened is out of the store, whatever `path` was before."""
        # Without waiting for whoever writes to a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | flags)
        try:
            try:
                opened = Path(f"/proc/self/fd/{descriptor}").readlink()
            except OSError:  # not Linux
                opened = Path(os.path.realpath(path))
            if not opened.is_relative_to(self._root):
                raise NotFound(f"{self.url}: {path} links out of the folder")
            yield descriptor
        finally:
            os.close(descriptor)

    def _folder(self, path: Path) -> AbstractContextManager[int]:
        """A descriptor of a folder in the store, for what is done in it."""
        return self._opened(path, os.O_DIRECTORY)

    @contextlib.contextmanager
    def _translated_errors(self, name: str) -> Iterator[None]:
        """Turns an error of the file system into a StoreError."""
        try:
            yield
        except OSError as error:
            kind: type[StoreError] = Unavailable if error.errno in _TRANSIENT else StoreError
            if isinstance(error, FileNotFoundError):
                kind = NotFound
            elif isinstance(error, FileExistsError):
                kind = Changed
            elif isinstance(error, PermissionError) or error.errno == errno.EROFS:
                kind = Denied
            raise kind(f"{self.url}, {name}: {error.strerror or error}") from error


def _etag(status: os.stat_result) -> str:
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"
