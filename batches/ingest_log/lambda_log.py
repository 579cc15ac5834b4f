"""Parses the log of the ingest Lambda: which object was tried when, with which message (domain.md 1, "CloudWatch log lines").

An exception belongs to the last `Object key:` line before it in the same log stream and request, and to nothing else. The
parser knows no network and no database; its memory is bounded, however long the log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote

from batches.ingest_log.log_line import (
    KEY_PREFIX,
    MAX_DETAIL_LENGTH,
    MAX_MESSAGE_LENGTH,
    TRACEBACK,
    LineKind,
    LogLine,
    clean,
    own_line,
    parse_line,
    split_exception,
)

__all__ = ["MAX_MESSAGE_LENGTH", "MAX_OPEN_REQUESTS", "IngestTry", "LambdaLogParser"]

NO_SUCH_KEY = "NoSuchKey"
"""From an event that came twice: the first one has ingested the object. It is ignored."""
DELETE_FAILED = "DeleteObject"
MAY_BE_INGESTED = "its object could not be deleted, so it may have been ingested"
"""Before the message of an exception that came when the record was in already: a retention or a missing permission."""
MAX_OPEN_REQUESTS = 10_000
"""A message of an older request can no longer be matched with a record."""
MAX_EXAMPLE_LENGTH = 120
V = TypeVar("V")


@dataclass(slots=True)
class IngestTry:
    """One try to ingest one object of the batch."""

    key: str
    at: int
    """When it started, in milliseconds since the epoch."""
    message: str | None = None
    """Its last exception."""
    detail: str | None = None
    """The trace of that exception."""
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


@dataclass(slots=True)
class _OpenTrace:
    """A traceback whose next line may come with the next event of its stream."""

    request: str
    text: str

    def add(self, text: str) -> None:
        """One more line."""
        if len(self.text) < 4 * MAX_DETAIL_LENGTH:
            self.text += "\n" + text


class LambdaLogParser:
    """Feed it events in the order of the log; tries come out in no particular order."""

    def __init__(self, bid: str, is_own: Callable[[str], bool]) -> None:
        self._is_own = is_own
        self._bid = bid
        self._open: OrderedDict[tuple[str, str], _OpenRequest] = OrderedDict()
        # By stream: the request that named a key last, the request that runs, the one whose exception came last, its trace.
        self._latest: OrderedDict[str, _OpenRequest] = OrderedDict()
        self._running: OrderedDict[str, str] = OrderedDict()
        self._last_error: OrderedDict[str, str] = OrderedDict()
        self._traces: OrderedDict[str, _OpenTrace] = OrderedDict()
        self._finished: list[IngestTry] = []
        self.last_named: int | None = None
        """Time of the last event that names the batch, in milliseconds since the epoch."""
        self.unmatched = 0
        """Exceptions that may belong to this batch, of an unknown record."""
        self.events = 0
        self.not_understood = 0
        """Events in no spelling that is known."""
        self.example = ""
        """One of them, in one line."""

    def feed(self, stream: str, timestamp: int, message: str) -> None:
        """One event."""
        self.events += 1
        lines = [line for line in message.splitlines() if line.strip()]
        several = len(lines) > 1 and (
            any(KEY_PREFIX in line for line in lines[1:]) or all(line.startswith("{") for line in lines)
        )
        for part in lines if several else [message]:
            self._feed_line(stream, timestamp, part)

    def pop_finished(self) -> list[IngestTry]:
        """The tries that ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def end(self) -> None:
        """Ends all tries, after the last event."""
        for stream in list(self._traces):
            self._end_trace(stream)
        while self._open:
            self._close(self._open.popitem(last=False)[1])

    def _feed_line(self, stream: str, timestamp: int, message: str) -> None:
        line = parse_line(message)
        if self._continues_trace(stream, message, line):
            return
        self._end_trace(stream)
        if line is None:
            is_continuation = message[:1].isspace() and stream in self._last_error
            if message.strip() and not is_continuation:
                self.not_understood += 1
                self.example = self.example or clean(message.strip())[:MAX_EXAMPLE_LENGTH]
            return
        last_error = self._last_error.pop(stream, "")
        if line.kind is LineKind.START:
            self._remember(self._running, stream, line.request)
        elif line.kind is LineKind.END:
            self._running.pop(stream, None)
        else:
            request = line.request or (last_error if line.is_bare and TRACEBACK in line.text else "")
            self._feed_text(stream, timestamp, line, request or self._running.get(stream, ""))

    def _feed_text(self, stream: str, timestamp: int, line: LogLine, request: str) -> None:
        named = line.kind is LineKind.BATCH and line.text == self._bid
        if line.kind is LineKind.KEY:
            key, state = unquote(line.text.split()[0] if line.text else ""), self._state(stream, request)
            self._close(state)
            state.named = True
            if self._is_own(key):
                state.current = IngestTry(key, timestamp, candidate=state.candidate)
                named = True
        elif line.kind is LineKind.ERROR:
            self._remember(self._last_error, stream, request)
            if TRACEBACK in line.text and own_line(line.text) is None:
                self._remember(self._traces, stream, _OpenTrace(request, line.text))
            else:
                self._add_exception(stream, request, line.text)
        if named:
            self.last_named = max(self.last_named or timestamp, timestamp)

    def _continues_trace(self, stream: str, message: str, line: LogLine | None) -> bool:
        """Adds the line to the open traceback of its stream, if it belongs to it."""
        trace = self._traces.get(stream)
        if trace is None:
            return False
        if line is None or (line.is_bare and line.kind is LineKind.ERROR):
            trace.add(message.rstrip())
            return True
        if line.kind is LineKind.ERROR and line.request == trace.request and own_line(trace.text) is None:
            trace.add(line.text.rstrip())
            return True
        return False

    def _end_trace(self, stream: str) -> None:
        if trace := self._traces.pop(stream, None):
            self._add_exception(stream, trace.request, trace.text)

    def _add_exception(self, stream: str, request: str, text: str) -> None:
        message, detail = split_exception(text)
        if DELETE_FAILED in message and NO_SUCH_KEY not in message:
            message = f"{MAY_BE_INGESTED}: {message}"[:MAX_MESSAGE_LENGTH]
        if not request:
            self._add_candidate(stream, message)
            return
        state = self._open.get((stream, request))
        if state is None or not state.named:
            if NO_SUCH_KEY not in message:
                self._state(stream, request).candidate = message
                self.unmatched += 1
        elif not (current := state.current):
            return
        elif NO_SUCH_KEY in message:
            current.only_no_such_key = current.message is None
        else:
            current.message, current.detail, current.only_no_such_key = message, detail, False

    def _add_candidate(self, stream: str, message: str) -> None:
        """An exception of an unknown request: perhaps of the last object that was named in its stream."""
        latest = self._latest.get(stream)
        current = latest.current if latest else None
        if NO_SUCH_KEY in message:
            if current and not current.message and not current.candidate:
                current.only_no_such_key = True
            return
        if current:
            current.candidate, current.only_no_such_key = message, False
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
        self._remember(self._latest, stream, state)
        return state

    @staticmethod
    def _remember(values: OrderedDict[str, V], stream: str, value: V) -> None:
        values[stream] = value
        values.move_to_end(stream)
        if len(values) > MAX_OPEN_REQUESTS:
            values.popitem(last=False)

    def _close(self, state: _OpenRequest) -> None:
        if state.current:
            self._finished.append(state.current)
            state.current = None
