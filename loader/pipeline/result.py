"""What one pass over a feed did."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_NAMED = 10


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
    unproven: int = 0
    """Stored, but nothing proves that the server also stored their links."""
    unproven_samples: list[str] = field(default_factory=list)
    """The first of them."""
    rejected: int = 0
    postponed: int = 0
    gone: int = 0
    trouble: str = ""
    misconfigured: bool = False
    stopped: bool = False

    @property
    def tried(self) -> int:
        """Samples that are done, in any way."""
        return self.inserted + self.already_there + self.unproven + self.rejected + self.postponed

    @property
    def clean(self) -> bool:
        """Everything that was due is in the server, as far as it can be known with its links."""
        return not (self.rejected or self.postponed or self.unproven or self.trouble)

    def add_unproven(self, sample: str, reason: str) -> str:
        """Counts a sample that is stored with unproven links; returns the line to log."""
        self.unproven += 1
        if len(self.unproven_samples) < MAX_NAMED:
            self.unproven_samples.append(sample)
        return f"{sample}: stored, links unproven: {reason}"

    @property
    def unproven_text(self) -> str:
        """The end of a summary: their number and names; empty if there are none."""
        if not self.unproven:
            return ""
        more = ", …" if self.unproven > len(self.unproven_samples) else ""
        return f", {self.unproven} stored with unproven links ({', '.join(self.unproven_samples)}{more})"
