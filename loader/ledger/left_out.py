"""Counts the names that a scan leaves out, by what they end with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.stored_text import storable
from loader.fasta.names import left_out_ending

MAX_KINDS = 20
MAX_EXAMPLE_LENGTH = 200
REST = "(others)"


class LeftOut:
    """The numbers of one scan, in flat memory."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[Any]] = {}

    def add(self, names: Iterable[str]) -> None:
        """Counts these names, and keeps one example of each kind."""
        for name in names:
            # A column of JSON keeps what a text column would lose.
            name = storable(name)  # noqa: PLW2901
            ending = left_out_ending(name)
            if ending not in self._kinds and len(self._kinds) >= MAX_KINDS:
                ending = REST
            self._kinds.setdefault(ending, [0, name[:MAX_EXAMPLE_LENGTH]])[0] += 1

    def counts(self) -> list[dict[str, Any]]:
        """The kinds, most frequent first, as the feed's row keeps them."""
        kinds = sorted(self._kinds.items(), key=lambda kind: (-kind[1][0], kind[0]))
        return [{"ending": ending, "number": number, "example": example} for ending, (number, example) in kinds]
