"""Sequences as the findNeighbour4 stand-in sees them: what it refuses, what it says of one, how far two are apart.

A sequence is kept as its differences from the first one, in blocks: samples of one species differ in few.
"""

import hashlib
from typing import NamedTuple

BLOCK = 256
_STRETCH = 16 * BLOCK
MAX_UNKNOWN_SHARE = 0.3
_IUPAC = "RYSWKMBDHV"
_LETTERS = b"ACGTN-" + _IUPAC.encode()
_ALPHABET = _LETTERS + _LETTERS.lower()
_CALLED = frozenset(b"ACGT")


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


class Facts(NamedTuple):
    """What is known of a stored sequence: digests (`md5` of its upper-cased letters), counts by letter, validity."""

    sha256: str
    md5: str
    counts: dict[str, int]
    valid: bool


def facts_of(sequence: bytes) -> Facts:
    """Read the whole sequence; some 50 ms for one of 4.4 million letters."""
    upper = sequence.upper()
    counts: dict[str, int] = {}
    left = upper
    for letter in _LETTERS:
        # The common letters come first, and the rest is short: bytes.count would take three times as long.
        without = left.translate(None, delete=bytes((letter,)))
        counts[chr(letter)] = len(left) - len(without)
        left = without
    valid = counts["N"] + counts["-"] <= MAX_UNKNOWN_SHARE * len(sequence)
    digest = hashlib.md5(upper, usedforsecurity=False).hexdigest()
    return Facts(hashlib.sha256(sequence).hexdigest(), digest, counts, valid)


def composition(counts: dict[str, int], length: int) -> dict[str, int | float]:
    """The counts as an annotation has them: lower-case IUPAC codes are always 0, as letters are upper-cased first."""
    called = sum(counts[letter] for letter in "ACGT")
    codes = {code: counts[code] if code.isupper() else 0 for letter in _IUPAC for code in (letter, letter.lower())}
    return {
        **{letter: counts[letter] for letter in "ACGTN-"},
        **codes,
        "ACTG": called,
        "mixed": sum(codes.values()),
        "propACTG": called / length if length else 0.0,
    }


class Packing:
    """Packs sequences as blocks that differ from the first one that it packed."""

    def __init__(self) -> None:
        self._first = b""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was packed yet."""
        return not self._first

    def pack(self, sequence: bytes) -> dict[int, bytes]:
        """The blocks that differ, by position."""
        first = self._first = self._first or sequence
        blocks: dict[int, bytes] = {}
        for start in range(0, len(sequence), _STRETCH):
            # Most are alike: comparing long ones first takes a tenth of the time.
            if sequence[start : start + _STRETCH] != first[start : start + _STRETCH]:
                for at in range(start, min(start + _STRETCH, len(sequence)), BLOCK):
                    block = sequence[at : at + BLOCK]
                    if block != first[at : at + BLOCK]:
                        blocks[at] = block
        return blocks

    def unpack(self, blocks: dict[int, bytes], length: int) -> bytes:
        """The sequence again."""
        sequence = bytearray(self._first[:length].ljust(length))
        for at, block in blocks.items():
            sequence[at : at + len(block)] = block
        return bytes(sequence)

    def distance(self, one: dict[int, bytes], other: dict[int, bytes], limit: int | None = None) -> int | None:
        """At how many positions both have a letter of A C G T, and not the same; None when more than `limit`."""
        distance = 0
        for at in one.keys() | other.keys():
            standard = self._first[at : at + BLOCK]
            ours, theirs = one.get(at, standard), other.get(at, standard)
            if ours != theirs:
                pairs = zip(ours.upper(), theirs.upper(), strict=False)
                distance += sum(1 for a, b in pairs if a != b and a in _CALLED and b in _CALLED)
                if limit is not None and distance > limit:
                    return None
        return distance
