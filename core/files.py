"""Writing files."""

from __future__ import annotations

from typing import Protocol


class Writable(Protocol):
    """An open file, or what a command writes to."""

    def write(self, text: str, /) -> object:
        """Writes it."""
