"""What a findNeighbour4 server says about itself and about one sample (domain.md 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_TEXT_LENGTH = 200


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The answer to `server_memory_usage/1`. What a build does not say is None or empty."""

    reference_length: int | None = None
    max_unknown: int | None = None
    samples: int | None = None
    """In the engine: without those that have too many N."""
    version: str = ""
    memory_used: int | None = None
    memory_total: int | None = None


@dataclass(frozen=True, slots=True)
class StoredSample:
    """The answer to `annotation`: what the server knows of the sequence that it holds."""

    md5: str = ""
    """Of the upper-cased sequence that was sent, hexadecimal; empty if the server gives none."""
    invalid: bool | None = None
    """Too many N to be compared with others; None if the server does not say."""


def engine_facts(answer: Any) -> EngineFacts:  # noqa: ANN401 - JSON
    """Reads the newest row: one object for each value, or, of older builds, one with all of them."""
    rows = [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []
    values = rows[0] if rows else {}
    if "detail" in values:
        values = {str(row.get("detail")): row.get("value") for row in rows if row.get("_id") == values.get("_id")}

    def named(*endings: str) -> Any:  # noqa: ANN401 - JSON
        return next((value for name, value in values.items() if str(name).endswith(endings)), None)

    return EngineFacts(
        reference_length=whole_number(named("reference_sequence_length")),
        max_unknown=whole_number(named("max_n_positions")),
        samples=whole_number(named("n_samples")),
        version=short_text(named("compile_version")),
        memory_used=whole_number(named("mstat|used", "memoryUsed RAM (bytes)")),
        memory_total=whole_number(named("mstat|total", "memoryTotal system (bytes)")),
    )


def stored_sample(answer: Any) -> StoredSample:  # noqa: ANN401 - JSON
    """Reads `DNAQuality`; the composition in it is not kept (design.md, promise 10)."""
    quality = answer.get("DNAQuality") if isinstance(answer, dict) else None
    if not isinstance(quality, dict):
        return StoredSample()
    md5, invalid = quality.get("MD5"), quality.get("invalid")
    is_digest = isinstance(md5, str) and len(md5) == 32 and set(md5.lower()) <= set("0123456789abcdef")
    return StoredSample(md5.lower() if is_digest else "", bool(invalid) if invalid in (0, 1) else None)  # type: ignore[union-attr]


def whole_number(value: Any) -> int | None:  # noqa: ANN401 - JSON
    """A number that is whole, not negative, and fits into a column; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def short_text(value: Any) -> str:  # noqa: ANN401 - JSON
    """A text of bounded length; empty for what is neither text nor number."""
    return str(value)[:MAX_TEXT_LENGTH] if isinstance(value, str | int | float) else ""
