"""The questions that the findNeighbour4 stand-in answers from its samples, in the JSON of the real server."""

import datetime as dt
import hashlib
from collections import deque
from typing import Any

from sandbox.fn4_engine import DATABASE_DOWN, ENGINE_DOWN, Condition
from sandbox.fn4_wire import answer, not_found, page
from sandbox.http import Response
from sandbox.samples import SNP_CEILING, SampleStore, StoredSample
from sandbox.sequences import MAX_UNKNOWN_SHARE, composition

_MEMORY = {
    "total": "fn4 memoryTotal system (bytes)",
    "available": "fn4 memoryAvailable RAM (bytes)",
    "percent": "fn4 memoryPercent RAM Used",
    "used": "fn4 memoryUsed RAM (bytes)",
    "free": "fn4 memoryFree RAM (bytes)",
}
_GIB = 1024**3


class Questions:
    """Answers GET requests; `memory_questions` counts those that write a row into the server's database."""

    def __init__(self, samples: SampleStore, condition: Condition, reference_length: int) -> None:
        self.samples = samples
        self.condition = condition
        self.reference_length = reference_length
        self.memory_questions = 0
        self._monitored: deque[tuple[int, str, int]] = deque(maxlen=1000)

    def answer(self, what: str) -> Response:
        """The answer to `GET /api/v2/WHAT`, percent-decoded."""
        parts = what.split("/")
        if (fixed := self._about_the_server(parts)) is not None:
            return fixed
        if self.condition.database_down:
            return page(500, DATABASE_DOWN)
        if parts[0] == "server_memory_usage":
            return self._memory_usage(parts[1:])
        return self._about_samples(parts) or self._about_one(parts) or not_found()

    def _about_the_server(self, parts: list[str]) -> Response | None:
        match parts:
            case ["server_time"]:
                now = dt.datetime.now().isoformat()  # noqa: DTZ005 - the real server's time has no zone
                return answer(200, {"server_name": "SANDBOX", "server_time": now})
            case ["server_name"]:
                return answer(200, {"server_name": "SANDBOX", "server_description": "A stand-in, not the real server"})
            case ["snpceiling"]:
                return answer(200, {"snpceiling": SNP_CEILING})
            case ["nucleotides_excluded"]:
                digest = hashlib.md5(b"[]", usedforsecurity=False).hexdigest()
                return answer(200, {"exclusion_id": f"Excl 0 nt [{digest}]", "excluded_nt": []})
            case ["server_config"]:
                return answer(404, {"NotAvailable": "Endpoint is only available in debug mode"})
            case ["server_database_usage"] | ["server_database_usage", _]:
                return answer(200, {"recompression_data": False, "latest_stats": {"storage_ratio": 1}})
        return None

    def _about_samples(self, parts: list[str]) -> Response | None:
        by_guid = self.samples.by_guid
        match parts:
            case ["guids"]:
                return answer(200, list(by_guid))
            case ["valid_guids"]:
                return answer(200, [guid for guid, sample in by_guid.items() if sample.valid])
            case ["invalid_guids"]:
                return answer(200, [guid for guid, sample in by_guid.items() if not sample.valid])
            case ["guids_and_examination_times"]:
                return answer(200, {guid: sample.added for guid, sample in by_guid.items()})
            case ["guids_added_after_sample", guid]:
                after = self.samples.after(guid)
                return not_found() if after is None else answer(200, after)
        return None

    def _about_one(self, parts: list[str]) -> Response | None:
        sample = self.samples.by_guid.get(parts[0])
        match parts:
            case [guid, "exists"]:
                return answer(200, guid in self.samples.by_guid)
            case [_, "valid"]:
                return answer(200, -1 if sample is None else int(not sample.valid))
            case [guid, "sequence"]:
                return _sequence(guid, sample)
            case [guid, "annotation"] if sample:
                return answer(200, {"DNAQuality": _quality(sample), "guid": guid})
            case [guid, other, "exact_distance"] if sample and other in self.samples.by_guid:
                return answer(200, {"guid1": guid, "guid2": other, "dist": self.samples.distance(guid, other)})
            case [_, "neighbours_within", threshold, *form] if threshold.isdecimal():
                return self._neighbours(parts[0], int(threshold), form)
        return None

    def _neighbours(self, guid: str, threshold: int, form: list[str]) -> Response | None:
        """Links in format 1, 3 or 4; with a cutoff only those of samples of which enough letters are A C G T."""
        match form:
            case []:
                cutoff, shape = "0", "1"
            case ["with_quality_cutoff", cutoff]:
                shape = "1"
            case ["in_format", shape]:
                cutoff = "0"
            case ["with_quality_cutoff", cutoff, "in_format", shape]:
                pass
            case _:
                return None
        if not cutoff.replace(".", "", 1).isdecimal() or not shape.isdecimal():
            return None
        if shape not in {"1", "3", "4"}:
            return page(422, "Invalid format requested, must be 1, 3 or 4.  Format 2 has been deprecated.")
        if float(cutoff) > 1:
            return page(422, "Invalid cutoff requested, must be between 0 and 1")
        if guid not in self.samples.by_guid:
            return not_found()
        if self._share_called(guid) < float(cutoff):
            return answer(200, [])
        found = self.samples.neighbours(guid, threshold)
        good = [(other, apart) for other, apart in found if self._share_called(other) >= float(cutoff)]
        return answer(200, _shaped(good, shape))

    def _share_called(self, guid: str) -> float:
        sample = self.samples.by_guid[guid]
        return composition(sample.facts.counts, sample.length)["propACTG"]

    def _memory_usage(self, parts: list[str]) -> Response:
        """The engine's numbers and the machine's memory in long form, the latest first; asks the engine, writes a row."""
        rows = parts[0] if parts else "100"
        if len(parts) > 1 or not rows.isdecimal():
            return not_found()
        if self.condition.engine_down:
            return page(500, ENGINE_DOWN)
        self.memory_questions += 1
        now = dt.datetime.now().isoformat()  # noqa: DTZ005 - as server_time
        self._monitored.appendleft((self.memory_questions, now, self.samples.in_engine()))
        shown = list(self._monitored)[: int(rows)]
        if not shown:
            return page(500, "No objects to concatenate")
        measured = [(number, at, self._measures(count)) for number, at, count in shown]
        return answer(200, [_monitored(*row, detail) for detail in measured[0][2] for row in measured])

    def _measures(self, in_engine: int) -> dict[str, int | float | str]:
        engine: dict[str, int | str] = {
            "name": "CatWalk-PORT-5999-SNV-20-sandbox",
            "reference_name": "SANDBOX",
            "reference_sequence_length": self.reference_length,
            "mask_name": "none",
            "mask_positions": 0,
            "max_distance": SNP_CEILING,
            "max_n_positions": int(MAX_UNKNOWN_SHARE * self.reference_length),
            "Total system (bytes)_mem": 1 * _GIB,
            "occupied_mem": _GIB // 2,
            "n_samples": in_engine,
            "compile_version": "sandbox",
            "compile_time": "2022-06-01 12:00:00+00:00",
        }
        sizes = {"total": 16 * _GIB, "available": 12 * _GIB, "percent": 25.0, "used": 4 * _GIB, "free": 8 * _GIB}
        memory = {name: sizes[key] for key, name in _MEMORY.items()}
        return {f"catwalk comparison engine {key}": value for key, value in engine.items()} | memory


def _monitored(number: int, at: str, measures: dict[str, int | float | str], detail: str) -> dict[str, Any]:
    return {
        "_id": number,
        "event_time": at,
        "info_message": "Server memory usage requested",
        "value": measures[detail],
        "descriptor1": "Server",
        "descriptor2": "RAM",
        "detail": detail,
    }


def _quality(sample: StoredSample) -> dict[str, Any]:
    facts = sample.facts
    counted = composition(facts.counts, sample.length)
    head = {"examinationDate": sample.added, "MD5": facts.md5, "length": sample.length}
    return {**head, **counted, "invalid": int(not facts.valid)}


def _sequence(guid: str, sample: StoredSample | None) -> Response:
    if sample is None:
        return answer(404, f"guid {guid} does not exist")
    if not sample.valid:
        comment = "No sequence is available, as invalid sequences are not stored"
        return answer(200, {"guid": guid, "invalid": 1, "comment": comment})
    masked = sample.sequence.upper().replace(b"-", b"N").decode()
    return answer(200, {"guid": guid, "invalid": 0, "comment": "Masked sequence, as stored", "masked_dna": masked})


def _shaped(links: list[tuple[str, int]], shape: str) -> list[Any]:
    if shape == "3":
        return [guid for guid, _ in links]
    return [{"guid": guid, "snv": apart} if shape == "4" else [guid, apart] for guid, apart in links]
