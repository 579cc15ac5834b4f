"""Puts one object of a batch into its store and reports the outcome. Knows no database."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ssl import SSLCertVerificationError
from threading import Semaphore
from typing import NamedTuple

from batches.choices import UploadOutcome
from batches.models.record import EMPTY_FILE, MAX_FILE_SIZE, too_large
from batches.store import key_base
from batches.upload.media_pause import MediaThrottle
from objectstores.base import Misconfigured, NotFound, Store, StoreError, Unavailable

LARGE_FILE = 1_000_000
"""Bytes."""
LARGE_FILES = 8
"""At most so many large files are in memory at a time."""
MAY_BE_INGESTED = "upload cut off, and its object is not in the bucket: it may have been ingested or never sent"


class UploadItem(NamedTuple):
    """A record to send."""

    pk: int
    row: int
    key: str
    file: str
    uncertain: bool
    """An earlier object of it may have been ingested: only a success ends that."""
    media: bool = False
    """It has a media file, so it is sent slowly."""
    large: bool = False
    """Its file is large, so few are in memory at a time."""


class PutResult(NamedTuple):
    """The outcome of one record."""

    item: UploadItem
    outcome: UploadOutcome
    message: str | None = None
    is_fatal: bool = False
    """Every other object would fail, too: stop."""


@dataclass
class ObjectPutter:
    """Puts the objects of one batch; threads share it."""

    store: Store
    folder: str
    throttle: MediaThrottle
    may_send: Callable[[], bool]
    """Called just before each object is put."""
    _root: str = field(init=False)
    _base: str = field(init=False)
    _large_files: Semaphore = field(default_factory=lambda: Semaphore(LARGE_FILES))

    def __post_init__(self) -> None:
        self._root = os.path.join(os.path.realpath(self.folder), "")  # noqa: PTH118 - its separator at the end
        self._base = key_base(self.store.url)

    def path(self, item: UploadItem) -> str:
        """The file that is sent."""
        return os.path.join(self.folder, item.file)  # noqa: PTH118 - once a record: pathlib takes four times as long

    def put(self, item: UploadItem) -> PutResult:
        """Sends the file of a record, unless `may_send` is false by then. Never raises."""
        try:
            if item.media or item.large:
                with self._slot(item):
                    result = self._put(item)
            else:
                result = self._put(item)
        except Exception as error:  # noqa: BLE001 - a thread that dies silently would leave its record as being sent
            result = PutResult(item, UploadOutcome.UNCERTAIN, f"unexpected error: {error!r}", is_fatal=True)
        if item.uncertain and result.outcome is not UploadOutcome.SUCCESS:
            return result._replace(outcome=UploadOutcome.UNCERTAIN, message=result.message or MAY_BE_INGESTED)
        return result

    @contextmanager
    def _slot(self, item: UploadItem) -> Iterator[None]:
        """For a record with media, or with a large file: after some others."""
        with ExitStack() as slots:
            if item.media:
                slots.enter_context(self.throttle.slot(lambda: not self.may_send()))
            if item.large:
                slots.enter_context(self._large_files)
            yield

    def _put(self, item: UploadItem) -> PutResult:
        try:
            content = self._read(self.path(item))
        except OSError as error:
            return PutResult(item, UploadOutcome.UNUPLOADABLE, f"file {item.file!r}: {error.strerror or error}")
        if not content:
            return PutResult(item, UploadOutcome.UNUPLOADABLE, EMPTY_FILE)
        if not self.may_send():
            return not_sent(item)
        name = self._base + item.key
        try:
            self.store.write(name, content)
        except StoreError as error:
            is_fatal = isinstance(error, Misconfigured | NotFound)
            # A key may be as long as a message, and its record has it.
            message = str(error).replace(f", {name}:", ":", 1)
            if not may_have_arrived(error):
                return PutResult(item, UploadOutcome.FAILURE, message, is_fatal)
            try:
                arrived = object_exists(self.store, name)
            except StoreError:
                arrived = False
            if not arrived:
                return PutResult(item, UploadOutcome.UNCERTAIN, message, is_fatal)
        return PutResult(item, UploadOutcome.SUCCESS)

    def _read(self, path: str) -> bytes:
        """The content of a regular file in the folder, whatever took its name since the batch was added. Raises OSError."""
        # Without waiting for whoever writes to a pipe.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise OSError("is no regular file")
            if status.st_size > MAX_FILE_SIZE:
                raise OSError(too_large(status.st_size))
            try:
                # What was opened, whatever the path means by now; realpath takes ten times as long.
                opened = os.readlink(f"/proc/self/fd/{file}")  # noqa: PTH115 - pathlib takes four times as long
            except OSError:  # not Linux
                opened = os.path.realpath(path)
            if not opened.startswith(self._root):
                raise OSError("is outside of the batch folder")
            return _read_all(file, status.st_size)
        finally:
            os.close(file)


def _read_all(file: int, size: int) -> bytes:
    """A file that should have that many bytes, in one call if it has; a file object makes four of it."""
    content = os.read(file, size + 1)
    if len(content) == size:
        return content
    parts = [content]
    while parts[-1]:
        parts.append(os.read(file, MAX_FILE_SIZE))
        if sum(map(len, parts)) > MAX_FILE_SIZE:
            raise OSError(too_large(sum(map(len, parts))))
    return b"".join(parts)


def not_sent(item: UploadItem) -> PutResult:
    """It was marked, and not sent; an earlier object of it may still have been ingested."""
    if item.uncertain:
        return PutResult(item, UploadOutcome.UNCERTAIN, MAY_BE_INGESTED)
    return PutResult(item, UploadOutcome.PENDING)


def object_exists(store: Store, name: str) -> bool:
    """Whether the object is in the bucket now. Raises StoreError."""
    listing = store.list(name.removeprefix(key_base(store.url)))
    return next((entry.name for entry in listing), None) == name


def may_have_arrived(error: StoreError) -> bool:
    """Whether the object may be in the bucket although writing it failed: not if there was no connection, nor if the store, or
    a proxy before it, answered that it refuses (status 400 to 499)."""
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

    cause = error.__cause__
    if isinstance(cause, NewConnectionError | ConnectTimeoutError):
        return False
    if isinstance(cause, SSLError) and any(isinstance(arg, SSLCertVerificationError) for arg in cause.args):
        return False
    if isinstance(cause, HTTPError):
        # The connection broke, whatever the store makes of it: TLS, too, can fail after everything was sent.
        return True
    is_refused = 400 <= error.status < 500 or " 503 SlowDown" in str(error)
    return isinstance(error, Unavailable) and not is_refused
