"""Parses the log of the ingest Lambda: which object was tried when, with which message (domain.md 1, "CloudWatch log lines").

An exception belongs to the last `Object key:` line before it in the same log stream and request, and to nothing else. The
parser knows no network and no database; its memory is bounded, however long the log.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

KEY_PREFIX = "Object key: "
BATCH_PREFIX = "Decoded batch: "
NO_SUCH_KEY = "NoSuchKey"
"""From an event that came twice: the first one has ingested the object. It is ignored."""
ERROR_LEVELS = ("[ERROR]", "[CRITICAL]")
MAX_MESSAGE_LENGTH = 1000
MAX_OPEN_REQUESTS = 10_000
"""A message of an older request can no longer be matched with a record."""

# Lines of the platform itself, which knows the request, or only the stream.
_TIMED_OUT = re.compile(r"^\S+ (?P<request>[0-9a-f-]{36}) (?P<text>Task timed out after .*)")
_DIED = re.compile(r"^RequestId: (?P<request>[0-9a-f-]{36}) Error: (?P<text>.*)")


@dataclass(slots=True)
class IngestTry:
    """One try to ingest one object of the batch."""

    key: str
    at: int
    """When it started, in milliseconds since the epoch."""
    message: str | None = None
    """Its last exception."""
    candidate: str | None = None
    """An exception that may belong to it."""
    only_no_such_key: bool = False
    """Its only exception is NoSuchKey: it does not count as a try."""


@dataclass(slots=True)
class _OpenRequest:
    """The state of a request in a stream."""

    current: IngestTry | None = None
    """The try that the next exception belongs to; None: the last named object is not one of the batch."""
    named: bool = False
    """Whether it named any object."""
    candidate: str | None = None
    """An exception before any object was named."""


class LambdaLogParser:
    """Feed it events in the order of the log; tries come out in no particular order."""

    def __init__(self, bid: str, is_own: Callable[[str], bool]) -> None:
        self._is_own = is_own
        self._batch_line = BATCH_PREFIX + bid
        self._open: OrderedDict[tuple[str, str], _OpenRequest] = OrderedDict()
        self._latest: OrderedDict[str, _OpenRequest] = OrderedDict()
        self._finished: list[IngestTry] = []
        self.last_named: int | None = None
        """Time of the last event that names the batch, in milliseconds since the epoch."""
        self.unmatched = 0
        """Exceptions that may belong to this batch, of an unknown record."""

    def feed(self, stream: str, timestamp: int, message: str) -> None:
        """One event."""
        parts = message.split("\t", 3)
        if len(parts) < 4:
            self._feed_platform_line(stream, message)
            return
        level, _, request, text = parts
        if text.startswith(KEY_PREFIX):
            self._start_try(stream, request, timestamp, unquote(text[len(KEY_PREFIX) :].strip()))
        elif level in ERROR_LEVELS:
            self._add_exception(stream, request, text)
        elif text.startswith(self._batch_line) and text.strip() == self._batch_line:
            self._set_last_named(timestamp)

    def pop_finished(self) -> list[IngestTry]:
        """The tries that ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def end(self) -> None:
        """Ends all tries, after the last event."""
        while self._open:
            self._close(self._open.popitem(last=False)[1])

    def _set_last_named(self, timestamp: int) -> None:
        self.last_named = max(self.last_named or timestamp, timestamp)

    def _start_try(self, stream: str, request: str, timestamp: int, key: str) -> None:
        state = self._state(stream, request)
        self._close(state)
        state.named = True
        if self._is_own(key):
            state.current = IngestTry(key, timestamp, candidate=state.candidate)
            self._set_last_named(timestamp)

    def _add_exception(self, stream: str, request: str, text: str) -> None:
        state = self._open.get((stream, request))
        message = _one_line(text)
        if state is None or not state.named:
            if NO_SUCH_KEY not in message:
                self._state(stream, request).candidate = message
                self.unmatched += 1
        elif not (current := state.current):
            return
        elif NO_SUCH_KEY in message:
            current.only_no_such_key = current.message is None
        else:
            current.message, current.only_no_such_key = message, False

    def _feed_platform_line(self, stream: str, message: str) -> None:
        if match := _TIMED_OUT.match(message) or _DIED.match(message):
            self._add_exception(stream, match["request"], match["text"])
        elif message.startswith(ERROR_LEVELS) and NO_SUCH_KEY not in message:
            # It does not name its request.
            latest = self._latest.get(stream)
            if latest and latest.current:
                latest.current.candidate = _one_line(message.partition("]")[2])
            self.unmatched += 1

    def _state(self, stream: str, request: str) -> _OpenRequest:
        key = (stream, request)
        state = self._open.get(key)
        if state is None:
            state = self._open[key] = _OpenRequest()
            if len(self._open) > MAX_OPEN_REQUESTS:
                self._close(self._open.popitem(last=False)[1])
        else:
            self._open.move_to_end(key)
        self._latest[stream] = state
        self._latest.move_to_end(stream)
        if len(self._latest) > MAX_OPEN_REQUESTS:
            self._latest.popitem(last=False)
        return state

    def _close(self, state: _OpenRequest) -> None:
        if state.current:
            self._finished.append(state.current)
            state.current = None


def _one_line(text: str) -> str:
    """The first line of an exception, without unprintable characters, and of bounded length."""
    first = text.strip().split("\n", 1)[0].strip().removeprefix("Exception: ")
    return "".join(letter if letter.isprintable() else " " for letter in first)[:MAX_MESSAGE_LENGTH].strip()
