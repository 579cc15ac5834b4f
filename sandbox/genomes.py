"""Genomes made in code from a seed: a reference, mutants of it, and broken files."""

from __future__ import annotations

import random

GENOME = 29_903
"""Letters of a SARS-CoV-2 genome."""


def reference(length: int = GENOME, seed: int = 1) -> str:
    """Random letters, always the same for the same seed."""
    return "".join(random.Random(seed).choices("ACGT", k=length))


def mutant(of: str, seed: int, changes: int = 20) -> str:
    """A genome of the same length with some letters changed and a run of N, as sequencing leaves it."""
    chance = random.Random(seed)
    letters = list(of)
    for _ in range(changes):
        letters[chance.randrange(len(letters))] = chance.choice("ACGT")
    start = chance.randrange(len(letters) - 100)
    letters[start : start + 60] = "N" * 60
    return "".join(letters)


def fasta(sample: str, sequence: str, prefix: str = "GPAS_SP3|", width: int = 60) -> bytes:
    """A FASTA file of one record, wrapped."""
    lines = [sequence[at : at + width] for at in range(0, len(sequence), width)]
    return "\n".join([f">{prefix}{sample}", *lines, ""]).encode()


def bad_files(of: str) -> dict[str, tuple[bytes, str]]:
    """Files that can't be loaded, by name, with words that the reason must contain."""
    good = mutant(of, 99)
    return {
        "multifasta.fasta": (fasta("multifasta", good) + fasta("another", good), "multifasta"),
        "empty.fasta": (b"", "empty"),
        "wrong-prefix.fasta": (fasta("wrong-prefix", good, prefix="OTHER|"), "does not begin with"),
        "truncated.fasta": (fasta("truncated", good)[: len(of) // 2], "length"),
        "letters.fasta": (fasta("letters", good[:-4] + "XX!!"), "not accepted by findNeighbour4"),
        "not-text.fasta": (b">GPAS_SP3|not-text\n\xff\xfe\n", "not UTF-8"),
        "no-record.fasta": (b"ACGT\n", "no FASTA record"),
        "mixed-up.fasta": (fasta("somebody-else", good), "mixed up"),
        f"{'x' * 60}.fasta": (fasta("x" * 60, good), "does not accept the id"),
    }
