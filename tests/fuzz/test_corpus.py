"""Each input of the corpus meets its target: what once failed stays mended. Needs no fuzzer."""

from __future__ import annotations

import pytest

from tests.fuzz.inputs import CORPUS, MAX_LENGTH, MAX_UNROLLED, TARGETS, target, unrolled


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore")  # of libraries, about what is wrong with an input
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_of_the_corpus_fails(name: str) -> None:
    check = target(name)
    check(b"")
    inputs = sorted((CORPUS / name).iterdir())
    assert inputs
    for path in inputs:
        try:
            check(path.read_bytes())
        except BaseException as error:
            error.add_note(f"Input: {path}")
            raise


def test_the_corpus_belongs_to_targets_and_is_small() -> None:
    assert sorted(folder.name for folder in CORPUS.iterdir()) == TARGETS
    sizes = {path: path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()}
    assert max(sizes.values()) <= MAX_LENGTH
    assert sum(sizes.values()) < 500_000


def test_an_input_may_stand_for_a_long_one() -> None:
    long = unrolled(b"\xff\xff\x01\x02{[]}")
    assert (long[:5], long[-3:]) == (b"{[][]", b"[]}")
    assert MAX_UNROLLED - 2 < len(long) <= MAX_UNROLLED
    assert unrolled(b"\xff\xff") == b"\xff\xff"
    assert unrolled(b"abc") == b"abc"
