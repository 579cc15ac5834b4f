"""What the findNeighbour4 stand-in holds: samples, the insert lock, and numbers on how busy inserts kept it."""

import datetime as dt
import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LETTERS = b"ACGTNRYSWKMBDHV-"
_ALPHABET = _LETTERS + _LETTERS.lower()
_MAX_UNKNOWN_SHARE = 0.3
_MAX_UNEXAMINED_BYTES = 256 * 1024 * 1024  # bytes of sequences that wait to be examined


class StoredSample:
    """A stored sequence: its length, its digest, and whether little enough of it is unknown (`valid`).

    Digest and validity are computed when they are requested, so that an insert stays cheap; until then the sequence is
    kept.
    """

    __slots__ = ("_sequence", "_sha256", "_valid", "added", "length")

    def __init__(self, sequence: bytes) -> None:
        self._sequence: bytes | None = sequence
        self._sha256 = ""
        self._valid = False
        self.length = len(sequence)
        self.added = dt.datetime.now().isoformat()  # noqa: DTZ005 - the real server's times have no zone

    @classmethod
    def read(cls, data: dict[str, Any]) -> "StoredSample":
        """A sample as `show` wrote it."""
        sample = cls(b"")
        sample._sequence = None
        sample._sha256, sample.length, sample._valid = data["sha256"], data["length"], data["valid"]
        sample.added = data["added"]
        return sample

    def examine(self) -> None:
        """Compute digest and validity, and drop the sequence."""
        if self._sequence is not None:
            self._sha256 = hashlib.sha256(self._sequence).hexdigest()
            known = len(self._sequence.translate(None, delete=b"Nn-"))
            self._valid = self.length - known <= _MAX_UNKNOWN_SHARE * self.length
            self._sequence = None

    @property
    def valid(self) -> bool:
        """Whether it is compared with others."""
        self.examine()
        return self._valid

    def show(self) -> dict[str, Any]:
        """All of it, as JSON data."""
        self.examine()
        return {"sha256": self._sha256, "length": self.length, "valid": self._valid, "added": self.added}


class SequenceError(ValueError):
    """A sequence that the server rejects, with the text of its error page."""


def check_sequence(sequence: bytes, reference_length: int) -> None:
    """SequenceError with the real server's text: empty, invalid letters, or not the length of the reference."""
    if not sequence:
        raise SequenceError("nucleicAcidString must be of type str, and of non-zero length")
    if others := sequence.translate(None, delete=_ALPHABET):
        raise SequenceError(
            "nucleicAcidString must be of type str, and consist only of ACGTN-.  "
            f"There are {len(others)} invalid characters"
        )
    if len(sequence) != reference_length:
        raise SequenceError(
            f"sequence must of the same length as reference; seq is {len(sequence)} and ref is {reference_length}"
        )


class SampleStore:
    """Samples by guid, in the order in which they came; with `store` also in a file of JSON lines.

    A line is flushed to the kernel before the insert is answered: it outlives a killed server, as a database does.
    """

    def __init__(self, store: Path | None) -> None:
        self.by_guid: dict[str, StoredSample] = {}
        self._store = store
        self._file = None
        self._unexamined_bytes = 0
        if store:
            self._read(store)
            self._file = store.open("ab", buffering=0)

    def _read(self, store: Path) -> None:
        lines = store.read_bytes().split(b"\n") if store.exists() else []
        for line in lines[:-1]:
            data = json.loads(line)
            guid = data.pop("guid")
            if data:
                self.by_guid[guid] = StoredSample.read(data)
            else:
                self.by_guid.pop(guid, None)
        if lines and lines[-1]:
            # Killed in the middle of a line: that insert was not answered, and never happened.
            with store.open("r+b") as file:
                file.truncate(store.stat().st_size - len(lines[-1]))

    def add(self, guid: str, sample: StoredSample) -> None:
        """Store a sample."""
        self.by_guid[guid] = sample
        if self._file:
            self._write({"guid": guid, **sample.show()})
        self._unexamined_bytes += sample.length
        if self._unexamined_bytes > _MAX_UNEXAMINED_BYTES:
            sample.examine()

    def remove(self, guid: str) -> bool:
        """Remove a sample; whether there was one."""
        there = self.by_guid.pop(guid, None) is not None
        if there:
            self._write({"guid": guid})
        return there

    def after(self, guid: str) -> list[str] | None:
        """The guids that came after one; None when it is not known."""
        if guid not in self.by_guid:
            return None
        guids = list(self.by_guid)
        return guids[guids.index(guid) + 1 :]

    def _write(self, data: dict[str, Any]) -> None:
        if self._file:
            self._file.write(json.dumps(data).encode() + b"\n")


@dataclass(slots=True)
class Traffic:
    """The insert calls: how many are in flight, since when, and for how long there was one. Monotonic seconds."""

    in_flight: int = 0
    most_in_flight: int = 0
    busy_seconds: float = 0.0
    first_start: float | None = None
    last_end: float | None = None
    answers: Counter[int] = field(default_factory=Counter)
    by_guid: dict[str, list[int]] = field(default_factory=dict)
    _busy_since: float = 0.0

    def begin(self, guid: str, started: float) -> int:
        """An insert call came in, its first byte at `started`; returns its number among those of its guid."""
        if self.in_flight == 0:
            self._busy_since = max(started, self.last_end or started)
        if self.first_start is None:
            self.first_start = started
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        calls = self.by_guid.setdefault(guid, [])
        calls.append(0)
        return len(calls) - 1

    def end(self, guid: str, number: int, status: int) -> None:
        """The call ended, whether or not a client still waits for the answer."""
        now = time.monotonic()
        self.in_flight -= 1
        self.last_end = now
        self.answers[status] += 1
        self.by_guid[guid][number] = status
        if self.in_flight == 0:
            self.busy_seconds += now - self._busy_since

    def show(self) -> dict[str, Any]:
        """The numbers for `GET /sandbox/stats`; `busy_share` is of the time from the first start to the last end."""
        length = (self.last_end or 0) - (self.first_start or 0)
        return {
            "inserts": self.answers[200],
            "conflicts": self.answers[409],
            "answers": {str(status): count for status, count in self.answers.items()},
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "busy_seconds": self.busy_seconds,
            "first_start": self.first_start,
            "last_end": self.last_end,
            "busy_share": self.busy_seconds / length if length > 0 else None,
        }
