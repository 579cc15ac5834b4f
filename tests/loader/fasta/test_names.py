"""Which names are FASTA files, and which part of a name is the sample id."""

from __future__ import annotations

import pytest

from loader.fasta.names import DEFAULT_ENDINGS, NameRules, left_out_ending, parse_endings, possible_ids

FIRST_DOT, ENDING = NameRules(), NameRules(up_to_first_dot=False)


@pytest.mark.parametrize(
    "name", ["a.fasta", "a.FA", "a.v1.fna", "dir/a.Fasta.gz", "a.fas", "a.fsa", "a.fsa.GZ", "a.fas.gz", ".fa"]
)
def test_these_names_are_fasta_files(name: str) -> None:
    assert FIRST_DOT.is_fasta(name)


@pytest.mark.parametrize("name", ["a.txt", "fasta", "a.fasta.bak", "a.gz", "a.fasta/", "a.fasta.gz.gz", "a.fastq", ""])
def test_these_names_are_not(name: str) -> None:
    assert not FIRST_DOT.is_fasta(name)


def test_the_sample_id_is_the_file_name_up_to_its_first_dot_or_without_its_ending() -> None:
    names = ("a/b.c/s1.v2.fasta", "s1.1.FA.gz", "s1.fasta", "s1", "", "s1.2.txt")
    assert [FIRST_DOT.sample_id(name) for name in names] == ["s1", "s1", "s1", "s1", "", "s1"]
    assert [ENDING.sample_id(name) for name in names] == ["s1.v2", "s1.1", "s1", "s1", "", "s1.2.txt"]
    longest = NameRules((".fasta", ".consensus.fasta"), up_to_first_dot=False)
    assert longest.sample_id("s1.consensus.fasta") == "s1"


@pytest.mark.parametrize("text", [".fa .txt", "fa,TXT", "*.fa; .txt.gz", " .FA\n.txt "])
def test_endings_are_read_as_people_write_them(text: str) -> None:
    assert parse_endings(text) == (".fa", ".txt")
    assert NameRules(parse_endings(text)).is_fasta("x.txt.gz")


@pytest.mark.parametrize("text", ["", " , ", ".gz", ".", "a/b", ".fa .fa/b"])
def test_endings_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ending"):
        parse_endings(text)


def test_the_default_is_what_the_documentation_says() -> None:
    assert parse_endings(DEFAULT_ENDINGS) == FIRST_DOT.endings == (".fas", ".fsa", ".fna", ".fa", ".fasta")


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a/readme.TXT", ".txt"),
        ("reads.1.fastq.gz", ".fastq.gz"),
        ("x.gz", ".gz"),
        ("README", "(no ending)"),
        ("a.fasta/", "(folder)"),
        ("v1.a file of mine", "(no ending)"),
        ("a." + "x" * 99, "(no ending)"),
        ("a.", "(no ending)"),
        ("a.\x1b[1m", "(no ending)"),
    ],
)
def test_what_is_left_out_is_counted_by_its_ending(name: str, ending: str) -> None:
    assert left_out_ending(name) == ending


def test_a_file_is_searched_by_every_id_that_it_may_have() -> None:
    assert possible_ids("a/s1.2.fasta") == ["s1", "s1.2", "s1.2.fasta"]
