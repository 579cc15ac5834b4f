"""What one pass over a feed did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class PassResult:
    """What one pass did, in numbers; `trouble` says why it ended early."""

    listed: int = 0
    ignored: int = 0
    new: int = 0
    due: int = 0
    inserted: int = 0
    already_there: int = 0
    conflicting: int = 0
    rejected: int = 0
    postponed: int = 0
    gone: int = 0
    trouble: str = ""
    misconfigured: bool = False
    stopped: bool = False

    @property
    def tried(self) -> int:
        """Samples that are done, in any way."""
        return self.inserted + self.already_there + self.rejected + self.postponed

    @property
    def clean(self) -> bool:
        """Everything that was due is in the server."""
        return not (self.rejected or self.postponed or self.trouble)
