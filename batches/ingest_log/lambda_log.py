"""Reads the log of the ingest Lambda: which object was tried when, and what was said of it (domain.md 1, "CloudWatch log lines").

An exception belongs to the last `Object key:` line before it in the same log stream and request, and to nothing else. It
knows no network and no database; memory is bounded, however long the log.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

KEY = "Object key: "
BATCH = "Decoded batch: "
NOISE = "NoSuchKey"
"""Of an event that came twice: the first one has ingested the object. It means nothing."""
LEVELS = ("[ERROR]", "[CRITICAL]")
LONGEST = 1000
MOST_OPEN = 10_000
"""So many requests are remembered; what is said later in an older one can't be put on a record any more."""

# What the platform itself says: it knows the request, or at most the stream.
_TIMED_OUT = re.compile(r"^\S+ (?P<request>[0-9a-f-]{36}) (?P<text>Task timed out after .*)")
_DIED = re.compile(r"^RequestId: (?P<request>[0-9a-f-]{36}) Error: (?P<text>.*)")


@dataclass(slots=True)
class IngestTry:
    """One try of the ingest at one object of the batch."""

    key: str
    at: int
    """When it began, in milliseconds since the epoch."""
    message: str | None = None
    """The last exception of it."""
    candidate: str | None = None
    """An exception that may be of it."""
    noise: bool = False
    """Nothing but NoSuchKey was said: no try at all."""


@dataclass(slots=True)
class _OpenRequest:
    """What is known of a request in a stream."""

    going: IngestTry | None = None
    """The try that the next exception belongs to; None: no object of the batch was named last."""
    named: bool = False
    """Whether any object was named in it."""
    candidate: str | None = None
    """An exception from before any object was named."""


class LambdaLogParser:
    """Feed it events in the order in which the log shows them; tries come out in no particular order."""

    def __init__(self, bid: str, is_own: Callable[[str], bool]) -> None:
        self._is_own = is_own
        self._batch_line = BATCH + bid
        self._open: OrderedDict[tuple[str, str], _OpenRequest] = OrderedDict()
        self._latest: OrderedDict[str, _OpenRequest] = OrderedDict()
        self._done: list[IngestTry] = []
        self.last_named: int | None = None
        """When the last event came that names the batch, in milliseconds since the epoch."""
        self.unplaced = 0
        """Exceptions of which nobody can say whether they are of this batch, and of which record."""

    def read(self, stream: str, timestamp: int, message: str) -> None:
        """One event."""
        parts = message.split("\t", 3)
        if len(parts) < 4:
            self._read_platform(stream, message)
            return
        level, _, request, text = parts
        if text.startswith(KEY):
            self._name(stream, request, timestamp, unquote(text[len(KEY) :].strip()))
        elif level in LEVELS:
            self._except(stream, request, text)
        elif text.startswith(self._batch_line) and text.strip() == self._batch_line:
            self._named_at(timestamp)

    def take(self) -> list[IngestTry]:
        """The tries that are over since the last call."""
        done, self._done = self._done, []
        return done

    def end(self) -> None:
        """The log is read to its end: no try goes on."""
        while self._open:
            self._close(self._open.popitem(last=False)[1])

    def _named_at(self, timestamp: int) -> None:
        self.last_named = max(self.last_named or timestamp, timestamp)

    def _name(self, stream: str, request: str, timestamp: int, key: str) -> None:
        state = self._state(stream, request)
        self._close(state)
        state.named = True
        if self._is_own(key):
            state.going = IngestTry(key, timestamp, candidate=state.candidate)
            self._named_at(timestamp)

    def _except(self, stream: str, request: str, text: str) -> None:
        state = self._open.get((stream, request))
        said = _one_line(text)
        if state is None or not state.named:
            if NOISE not in said:
                self._state(stream, request).candidate = said
                self.unplaced += 1
        elif state.going:
            _message(state.going, said)

    def _read_platform(self, stream: str, message: str) -> None:
        if found := _TIMED_OUT.match(message) or _DIED.match(message):
            self._except(stream, found["request"], found["text"])
        elif message.startswith(LEVELS) and NOISE not in message:
            # It does not say of which request it is.
            latest = self._latest.get(stream)
            if latest and latest.going:
                latest.going.candidate = _one_line(message.partition("]")[2])
            self.unplaced += 1

    def _state(self, stream: str, request: str) -> _OpenRequest:
        key = (stream, request)
        state = self._open.get(key)
        if state is None:
            state = self._open[key] = _OpenRequest()
            if len(self._open) > MOST_OPEN:
                self._close(self._open.popitem(last=False)[1])
        else:
            self._open.move_to_end(key)
        self._latest[stream] = state
        self._latest.move_to_end(stream)
        if len(self._latest) > MOST_OPEN:
            self._latest.popitem(last=False)
        return state

    def _close(self, state: _OpenRequest) -> None:
        if state.going:
            self._done.append(state.going)
            state.going = None


def _message(going: IngestTry, said: str) -> None:
    if NOISE in said:
        going.noise = going.message is None
    else:
        going.message, going.noise = said, False


def _one_line(text: str) -> str:
    """The first line of an exception, without what no page can show, and of bounded length."""
    first = text.strip().split("\n", 1)[0].strip().removeprefix("Exception: ")
    return "".join(letter if letter.isprintable() else " " for letter in first)[:LONGEST].strip()
