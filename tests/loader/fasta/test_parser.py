"""What a FASTA file must be to become a sample."""

from __future__ import annotations

import gzip

import pytest

from loader.fasta.parser import SUFFIX, NotLoadable, first_characters, read_sample, sample_id, unpacked
from sandbox.genomes import bad_files, fasta, mutant, reference


def read(
    content: bytes, name: str = "s1.fasta", prefix: str = "GPAS_SP3|", *, strict_ids: bool = True
) -> tuple[str, bytes]:
    sample = read_sample(content, name, prefix, strict_ids=strict_ids)
    return sample.guid, sample.sequence


@pytest.mark.parametrize("width", [1, 60, 30_000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_it_reads_the_sequence_byte_for_byte_however_it_is_wrapped(width: int, line_end: bytes) -> None:
    sequence = mutant(reference(), 7)
    content = fasta("s1", sequence, width=width).replace(b"\n", line_end)
    assert read(content) == ("s1", sequence.encode())


def test_every_iupac_code_and_the_gap_are_letters_in_either_case() -> None:
    letters = b"ACGTURYSWKMBDHVN-acgturyswkmbdhvn"
    assert read(b">GPAS_SP3|s1\n" + letters)[1] == letters


def test_what_follows_a_space_in_the_header_is_no_part_of_the_id() -> None:
    assert read(b">GPAS_SP3|s1 from the north\nACGT\n")[0] == "s1"


def test_the_prefix_may_be_empty() -> None:
    assert read(b">s1\nACGT\n", prefix="")[0] == "s1"


def test_a_record_of_another_id_is_loaded_under_it_when_the_feed_says_so() -> None:
    assert read(b">GPAS_SP3|other\nACGT\n", strict_ids=False)[0] == "other"


@pytest.mark.parametrize("name", [name for name in bad_files(reference()) if name != "truncated.fasta"])
def test_each_bad_file_has_its_own_reason(name: str) -> None:
    content, words = bad_files(reference())[name]
    with pytest.raises(NotLoadable, match=words):
        read(content, name)


@pytest.mark.parametrize(
    "guid", ["", ".", "..", "a/b", "a|b", "a#b", "a?b", "a%b", 'a"b', "a\\b", "é", "x" * 60, "a[b", "a`b"]
)
def test_an_id_that_would_break_the_servers_links_is_never_sent(guid: str) -> None:
    with pytest.raises(NotLoadable, match="does not accept the id"):
        read(f">GPAS_SP3|{guid}\nACGT\n".encode(), strict_ids=False)


@pytest.mark.parametrize("guid", ["x" * 59, "a.b", "a_b~:;,+=@&()!*'$-", "..."])
def test_an_id_that_the_server_can_take_is_loaded(guid: str) -> None:
    assert read(f">GPAS_SP3|{guid}\nACGT\n".encode(), strict_ids=False)[0] == guid


def test_it_says_all_that_is_wrong_with_the_line() -> None:
    with pytest.raises(NotLoadable) as caught:
        read(b">GPAS_SP3|other\nACGT\nAC!T\n")
    assert "'other'" in str(caught.value)
    assert "'!', first in line 3" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b">GPAS_SP3|s1\nACGT\n+\nIIII\n", "quality string"),
        (b">GPAS_SP3|s1\nACGT\n+\nII\n", "no complete FASTA record"),
        (b">GPAS_SP3|s1\nACGT\n+AC\nGTGT\n", "quality string"),
        (b">GPAS_SP3|s1\nAC\0GT\n", "line 2 is not text: it contains a NUL"),
        (b">GPAS_SP3|s1\0x\nACGT\n", "line 1 is not text"),
        (b">GPAS_SP3|s1\nAC\n@GT\n", "2 records"),
        (b">GPAS_SP3|s1", "no sequence"),
        (b">", "its name is missing"),
    ],
)
def test_nothing_of_a_file_is_left_out_unsaid(content: bytes, words: str) -> None:
    with pytest.raises(NotLoadable, match=words):
        read(content)


def test_a_file_with_many_faults_is_told_all_of_them_at_once() -> None:
    with pytest.raises(NotLoadable) as caught:
        read(b">OTHER|s2\nACGT\nAC!T\n>GPAS_SP3|s1\nAC\xffT?\n")
    for words in (
        "line 5 is not UTF-8 (byte 35)",
        "2 records instead of one (multifasta); the second begins in line 4",
        "line 1: the header does not begin with 'GPAS_SP3|': 'OTHER|s2'",
        "2 characters are not IUPAC nucleotide codes or gaps: '!', '?', first in line 3",
    ):
        assert words in str(caught.value)


def test_a_file_without_a_record_is_told_of_its_letters_too() -> None:
    with pytest.raises(NotLoadable, match=r"line 1 does not begin with '>'; 2 characters .* '!', first in line 2"):
        read(b"ACGT\nA!!\n")


@pytest.mark.parametrize("content", [b">GPAS_SP3|s1\n", b">GPAS_SP3|s1", b">GPAS_SP3|s1\n\n\n"])
def test_a_record_without_a_sequence_is_told_so(content: bytes) -> None:
    with pytest.raises(NotLoadable, match=r"^the record has no sequence$"):
        read(content)


def test_no_reason_holds_the_sequence() -> None:
    with pytest.raises(NotLoadable) as caught:
        read(b">" + b"ACGT" * 500 + b"\nACGT")
    assert len(str(caught.value)) < 250


def test_the_sample_id_is_the_file_name_up_to_its_first_dot() -> None:
    assert [sample_id(name) for name in ("a/b.c/s1.v2.fasta", "s1.fasta", "s1", "")] == ["s1", "s1", "s1", ""]


def test_the_first_characters_fit_any_database() -> None:
    assert first_characters(b"\0\xff" * 100) == "\N{REPLACEMENT CHARACTER}" * 128
    assert first_characters("é".encode() * 200) == "é" * 64


def test_a_digest_does_not_care_for_case_as_the_server_does_not() -> None:
    one, two = (
        read_sample(b">GPAS_SP3|s1\n" + letters, "s1.fasta", "GPAS_SP3|", strict_ids=True)
        for letters in (b"acgt", b"ACGT")
    )
    assert one.digest == two.digest


def test_a_gzipped_file_is_unpacked_also_when_it_was_packed_in_parts() -> None:
    packed = gzip.compress(b">s1\n") + gzip.compress(b"ACGT\n")
    assert unpacked(packed, "s1.fasta.GZ", 100) == b">s1\nACGT\n"
    assert unpacked(b">s1", "s1.fasta", 1) == b">s1"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"A" * 10_000_000), "unpacks to more than"),
        (gzip.compress(b"ACGT" * 100)[:-9], "is truncated"),
        (b">s1\nACGT", "not a complete gzip"),
        (gzip.compress(b"A" * 9) + b"rubbish", "not a complete gzip"),
    ],
    ids=["bomb", "broken off", "no gzip", "rubbish behind it"],
)
def test_a_gzip_bomb_or_a_broken_one_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(NotLoadable, match=words):
        unpacked(content, "s1.fasta.gz", 1000)


@pytest.mark.parametrize("name", ["a.fasta", "a.FA", "a.v1.fna", "dir/a.Fasta.gz"])
def test_these_names_are_fasta_files(name: str) -> None:
    assert SUFFIX.search(name)


@pytest.mark.parametrize("name", ["a.txt", "fasta", "a.fasta.bak", "a.gz", "a.fasta/"])
def test_these_names_are_not(name: str) -> None:
    assert not SUFFIX.search(name)
