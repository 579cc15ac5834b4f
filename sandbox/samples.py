"""What the findNeighbour4 stand-in holds: samples in its database, those of them in its engine, and their links."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

from sandbox.sequences import Facts, Packing, facts_of

SNP_CEILING = 20
_MAX_UNPACKED_BYTES = 256 * 1024 * 1024  # bytes of sequences that wait to be packed


class StoredSample:
    """A row of the database: a sequence, whether its links to earlier samples were stored (`links`), since when the engine
    holds it (`in_engine_since`, the number of an insert; None: not), and what is known of the sequence.

    Facts are computed when they are requested, so that an insert stays cheap; until then the sequence is kept as it came.
    """

    __slots__ = ("_blocks", "_facts", "_packing", "_sequence", "added", "in_engine_since", "length", "links", "number")

    def __init__(self, sequence: bytes, packing: Packing, number: int, *, links: bool, in_engine: bool) -> None:
        self._sequence: bytes | None = sequence
        self._packing = packing
        self._blocks: dict[int, bytes] = {}
        self._facts: Facts | None = None
        self.number = number
        self.links = links
        self.in_engine_since = number if in_engine else None
        self.length = len(sequence)
        self.added = dt.datetime.now().isoformat()  # noqa: DTZ005 - the real server's times have no zone

    def pack(self) -> dict[int, bytes]:
        """Keep the sequence as differences from now on; returns them."""
        if self._sequence is not None:
            self._blocks, self._sequence = self._packing.pack(self._sequence), None
        return self._blocks

    @property
    def sequence(self) -> bytes:
        """The letters as they were sent."""
        return self._packing.unpack(self._blocks, self.length) if self._sequence is None else self._sequence

    @property
    def facts(self) -> Facts:
        """Digests, counts and validity."""
        if self._facts is None:
            self._facts = facts_of(self.sequence)
            self.pack()
        return self._facts

    @property
    def valid(self) -> bool:
        """Whether it is compared with others."""
        return self.facts.valid

    def is_linked(self, later: "StoredSample") -> bool:
        """Whether the insert of a later sample found this one."""
        return later.links and self.in_engine_since is not None and self.in_engine_since <= later.number

    def show(self) -> dict[str, Any]:
        """All of it but the sequence, as JSON data."""
        facts = self.facts
        return {
            "sha256": facts.sha256,
            "md5": facts.md5,
            "length": self.length,
            "valid": facts.valid,
            "links": self.links,
            "added": self.added,
        }


class SampleStore:
    """Samples by guid, in the order in which they came; with `store` also in a file of JSON lines.

    A line is flushed to the kernel before the insert is answered: it outlives a killed server, as a database does.
    """

    def __init__(self, store: Path | None) -> None:
        self.by_guid: dict[str, StoredSample] = {}
        self._packing = Packing()
        self._number = 0
        self._file = None
        self._unpacked_bytes = 0
        if store:
            self._read(store)
            self._file = store.open("ab", buffering=0)
            self.start_engine()

    def _read(self, store: Path) -> None:
        lines = store.read_bytes().split(b"\n") if store.exists() else []
        for line in lines[:-1]:
            data = json.loads(line)
            if "engine started" in data:
                self._fill_engine()
            elif "blocks" in data:
                blocks = {int(at): block.encode() for at, block in data["blocks"].items()}
                sequence = self._packing.unpack(blocks, data["length"])
                sample = self._new(sequence, links=data["links"], in_engine=data["engine"])
                sample.pack()
                sample.added = data["added"]
                self.by_guid[data["guid"]] = sample
            else:
                self.by_guid.pop(data["guid"], None)
        if lines and lines[-1]:
            # Killed in the middle of a line: that insert was not answered, and never happened.
            with store.open("r+b") as file:
                file.truncate(store.stat().st_size - len(lines[-1]))

    def _new(self, sequence: bytes, *, links: bool, in_engine: bool) -> StoredSample:
        self._number += 1
        sample = StoredSample(sequence, self._packing, self._number, links=links, in_engine=in_engine)
        self._unpacked_bytes += sample.length
        if self._unpacked_bytes > _MAX_UNPACKED_BYTES:
            sample.pack()
        return sample

    def add(self, guid: str, sequence: bytes, *, links: bool = True, in_engine: bool = True) -> None:
        """Store a sample, with or without its links to those before it, in the engine or only in the database."""
        sample = self.by_guid[guid] = self._new(sequence, links=links, in_engine=in_engine)
        if self._file:
            # The first one is what the others differ from.
            first, blocks = self._packing.is_empty, sample.pack()
            kept = {at: block.decode() for at, block in ({0: sequence} if first else blocks).items()}
            row = {"guid": guid, "added": sample.added, "links": links, "engine": in_engine, "length": sample.length}
            self._write({**row, "blocks": kept})

    def remove(self, guid: str) -> bool:
        """Remove a sample; whether there was one."""
        there = self.by_guid.pop(guid, None) is not None
        if there:
            self._write({"guid": guid})
        return there

    def keep_first(self, count: int) -> int:
        """Remove all but the first samples, as a database does that was restored; returns how many went."""
        gone = list(self.by_guid)[count:]
        for guid in gone:
            self.remove(guid)
        return len(gone)

    def after(self, guid: str) -> list[str] | None:
        """The guids that came after one; None when it is not known."""
        if guid not in self.by_guid:
            return None
        guids = list(self.by_guid)
        return guids[guids.index(guid) + 1 :]

    def start_engine(self) -> None:
        """The engine starts, and is filled from the database. Links that are missing stay missing."""
        if any(sample.in_engine_since is None for sample in self.by_guid.values()):
            self._fill_engine()
            self._write({"engine started": True})

    def _fill_engine(self) -> None:
        for sample in self.by_guid.values():
            if sample.in_engine_since is None:
                sample.in_engine_since = self._number + 1

    def in_engine(self) -> int:
        """How many samples the engine holds: never the invalid ones."""
        return sum(1 for sample in self.by_guid.values() if sample.in_engine_since is not None and sample.valid)

    def without_links(self) -> int:
        """How many samples were stored without their links."""
        return sum(1 for sample in self.by_guid.values() if not sample.links)

    def neighbours(self, guid: str, distance: int) -> list[tuple[str, int]]:
        """The stored links of a sample, with their distances, in the order of the samples."""
        sample = self.by_guid[guid]
        found = []
        for other_guid, other in self.by_guid.items():
            first, second = (other, sample) if other.number < sample.number else (sample, other)
            if other is sample or not first.is_linked(second) or not (sample.valid and other.valid):
                continue
            apart = self._packing.distance(sample.pack(), other.pack(), min(distance, SNP_CEILING))
            if apart is not None:
                found.append((other_guid, apart))
        return found

    def distance(self, guid: str, other: str) -> int | None:
        """The distance of two samples, linked or not; None when one of them is invalid."""
        one, two = self.by_guid[guid], self.by_guid[other]
        return self._packing.distance(one.pack(), two.pack()) if one.valid and two.valid else None

    def _write(self, data: dict[str, Any]) -> None:
        if self._file:
            self._file.write(json.dumps(data).encode() + b"\n")
