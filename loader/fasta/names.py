"""Which names of a bucket are FASTA files, and which part of such a name is the sample id: two settings of a feed."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_ENDINGS = ".fas .fsa .fna .fa .fasta"
PACKED = ".gz"
MAX_ENDING_LENGTH = 15
MAX_POSSIBLE_IDS = 10
_ENDING = re.compile(r"\.[^\s./,;][^\s/,;]*")


@dataclass(frozen=True)
class NameRules:
    """How a feed reads the names of its objects."""

    endings: tuple[str, ...] = tuple(DEFAULT_ENDINGS.split())
    """In lower case, each with its dot; each also counts with `.gz` behind it."""
    up_to_first_dot: bool = True
    """Whether the sample id is the file name up to its first dot; else it is all but the ending."""

    def ending_of(self, name: str) -> str:
        """The ending that makes this name a FASTA file, in lower case; empty if none does."""
        # As a whole, since a letter in lower case may be two (U+0130).
        lowered = name.lower()
        packed = PACKED if lowered.endswith(PACKED) else ""
        stem = lowered.removesuffix(PACKED)
        matching = [ending for ending in self.endings if stem.endswith(ending)]
        return max(matching, key=len) + packed if matching else ""

    def is_fasta(self, name: str) -> bool:
        """Whether an object of this name is loaded."""
        return name.lower().removesuffix(PACKED).endswith(self.endings)

    def sample_id(self, name: str) -> str:
        """The sample id of an object (domain.md 3)."""
        file_name = name.rpartition("/")[2]
        if self.up_to_first_dot:
            return file_name.partition(".")[0]
        return file_name[: len(file_name) - len(self.ending_of(file_name))]


def parse_endings(text: str) -> tuple[str, ...]:
    """Endings as a person writes them: separated by spaces, commas or semicolons, with or without dot, in any case.

    Raises ValueError with what is wrong.
    """
    words = re.split(r"[\s,;]+", text.strip().lower())
    endings = tuple(
        dict.fromkeys(word if word.startswith(".") else f".{word.removeprefix('*.')}" for word in words if word)
    )
    endings = tuple(dict.fromkeys(ending if ending == PACKED else ending.removesuffix(PACKED) for ending in endings))
    for ending in endings:
        if not _ENDING.fullmatch(ending):
            raise ValueError(f"'{ending}' is not an ending. Use a list like {DEFAULT_ENDINGS}")
        if ending == PACKED:
            raise ValueError(f"'{PACKED}' is no ending of its own: each ending also counts with {PACKED} behind it")
    if not endings:
        raise ValueError(f"Name at least one ending, such as {DEFAULT_ENDINGS}")
    return endings


def left_out_ending(name: str) -> str:
    """What a name that is left out ends with, for counts: `.txt`, `.fastq.gz`, `(no ending)`, `(folder)`."""
    file_name = name.rpartition("/")[2]
    if not file_name:
        return "(folder)"
    stem, dot, ending = file_name.lower().rpartition(".")
    if dot and f".{ending}" == PACKED and "." in stem:
        ending = f"{stem.rpartition('.')[2]}{PACKED}"
    if not dot or not ending or len(ending) > MAX_ENDING_LENGTH or not ending.isprintable() or " " in ending:
        return "(no ending)"
    return f".{ending}"


def possible_ids(name: str) -> list[str]:
    """What the sample id of a file of this name, or of a name that begins so, may be by any rule: cut at each dot, and whole."""
    parts = name.rpartition("/")[2].split(".")[:MAX_POSSIBLE_IDS]
    return [".".join(parts[:number]) for number in range(1, len(parts) + 1)]
