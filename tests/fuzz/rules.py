"""What holds for every text that fnloader makes of an input."""

from __future__ import annotations

import re

from core.stored_text import storable

MAX_SENTENCE = 10_000
_SEQUENCE = re.compile(r"[ACGTUN]{24,}|[acgtun]{24,}")


def ensure_line(text: str) -> None:
    """A line that a log, a terminal and every database take."""
    assert text.isprintable(), f"a control character in {text!r}"
    assert storable(text) == text, f"not to be stored: {text!r}"


def ensure_sentence(text: str) -> None:
    """The text of an error: a line of bounded length, and not empty."""
    ensure_line(text)
    assert text.strip(), "an error without words"
    assert len(text) <= MAX_SENTENCE, f"{len(text):,} characters"


def ensure_no_sequence(text: str, but: bytes = b"") -> None:
    """Nothing of a sample's sequence, unless it is in `but`."""
    # The end of an escaped character may stand before it.
    runs = [run for run in _SEQUENCE.findall(text) if run[4:].encode() not in but]
    assert not runs, f"a sequence in {text!r}"
