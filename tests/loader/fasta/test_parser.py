"""What a FASTA file must be to become a sample."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from loader.fasta.names import NameRules
from loader.fasta.parser import FastaRules, NotLoadable, first_characters, read_sample
from sandbox.genomes import bad_files, fasta, mutant, reference


def read(
    content: bytes, name: str = "s1.fasta", prefix: str = "GPAS_SP3|", *, strict_ids: bool = True, rna: bool = False
) -> tuple[str, bytes]:
    sample = read_sample(content, name, FastaRules(prefix, strict_ids, rna))
    return sample.guid, sample.sequence


@pytest.mark.parametrize("width", [1, 60, 30_000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r", b"\r\r\n", b" \n", b"\n\n", b"\t\r\n"])
def test_it_reads_the_sequence_byte_for_byte_however_it_is_wrapped(width: int, line_end: bytes) -> None:
    sequence = mutant(reference(), 7)
    content = fasta("s1", sequence, width=width).replace(b"\n", line_end)
    assert read(content) == ("s1", sequence.encode())


def test_every_iupac_code_and_the_gap_are_letters_in_either_case() -> None:
    letters = b"ACGTRYSWKMBDHVN-acgtryswkmbdhvn"
    assert read(b">GPAS_SP3|s1\n" + letters)[1] == letters


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf>GPAS_SP3|s1\nACGT\n",
        b"\r\n\n>GPAS_SP3|s1\n\nAC\n\nGT\n\n\n",
        b">GPAS_SP3|s1 \nACGT   \n",
        b">GPAS_SP3|s1\nAC GT\n",
        b"> GPAS_SP3|s1\nACGT",
        b">GPAS_SP3|s1 of M\xfcller\nACGT\n",
        b">GPAS_SP3|s1\tof M\xfcller\r\nAC\r\nGT\r\n",
    ],
    ids=[
        "byte order mark",
        "blank lines",
        "spaces behind",
        "a space between",
        "a space before",
        "cp1252",
        "cp1252, CRLF",
    ],
)
def test_what_means_the_same_sequence_is_read_as_it(content: bytes) -> None:
    assert read(content) == ("s1", b"ACGT")


def test_rna_is_rejected_and_loaded_as_dna_when_the_feed_says_so() -> None:
    content = b">GPAS_SP3|s1\nACGUacguN\n"
    with pytest.raises(NotLoadable, match=r"'U', 'u' first in line 2 \(RNA\?"):
        read(content)
    assert read(content, rna=True) == ("s1", b"ACGTacgtN")
    rna, dna = (
        read_sample(b">s1\n" + letters, "s1.fa", FastaRules("", rna_as_dna=True)) for letters in (b"ACGU", b"acgt")
    )
    assert rna.digest == dna.digest


@pytest.mark.parametrize(
    ("letters", "named"),
    [
        (b"ACG\nU\nU", r"^2 characters are not accepted by findNeighbour4: 'U' first in line 3 \(RNA\?"),
        (b"ACG\nACGT*", r"1 character is not accepted .* '\*' first in line 3 \(stop codon\? protein\?\)"),
        (b"AC?T", r"'\?' first in line 2 \(unknown\? use N\)"),
        (b"AC.T", r"'\.' first in line 2 \(a gap\? use -\)"),
        (b"MKLE\nF", r"'E', 'F', 'L' first in line 2 \(protein\?\)"),
        (b"AC\n+\nII", r"'\+' first in line 3 \(a quality string\? FASTQ\?\)"),
        ("AC\u00a0GT".encode(), r"1 character is .* '\\xa0' first in line 2 \(pasted"),
        (b"1 ACGT", r"'1' first in line 2 \(positions\?\)"),
    ],
)
def test_a_letter_that_the_server_refuses_is_named_with_its_line_and_a_likely_reason(
    letters: bytes, named: str
) -> None:
    with pytest.raises(NotLoadable, match=named):
        read(b">GPAS_SP3|s1\n" + letters)
    with pytest.raises(NotLoadable, match=named):
        read(b">GPAS_SP3|s1\r\n" + letters.replace(b"\n", b"\r\n"))


def test_the_id_may_be_all_of_the_name_but_its_ending() -> None:
    content, whole = b">GPAS_SP3|s1.2\nACGT\n", FastaRules(names=NameRules(up_to_first_dot=False))
    assert read_sample(content, "a/s1.2.FASTA.gz", whole).guid == "s1.2"
    with pytest.raises(
        NotLoadable, match=r"'s1\.2', the file name says 's1': the file name without its ending says so, too"
    ):
        read(content, "s1.2.fasta")
    with pytest.raises(NotLoadable, match=r"the file name up to its first dot says so, too"):
        read_sample(b">GPAS_SP3|s1\nACGT\n", "s1.2.fasta", whole)


@pytest.mark.parametrize(
    "content",
    [b">a\n" * 3_000_000, b"\n" * 10_000_000 + b"x", b">GPAS_SP3|s1\n" + b"+\n" * 5_000_000],
    ids=["records", "blank lines", "letters"],
)
def test_a_file_of_nothing_but_records_or_lines_is_rejected_soon(content: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(NotLoadable):
        read(content)
    assert time.monotonic() - began < 10


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


@pytest.mark.parametrize("guid", ["x" * 59, "a.b", "a_b~:;,=@&()!*'$-", "..."])
def test_an_id_that_the_server_can_take_is_loaded(guid: str) -> None:
    assert read(f">GPAS_SP3|{guid}\nACGT\n".encode(), strict_ids=False)[0] == guid


@pytest.mark.parametrize("guid", ["a+b", "+", "x" * 58 + "+"])
def test_a_plus_in_an_id_is_sent_only_to_an_engine_of_the_old_build(guid: str) -> None:
    content = f">GPAS_SP3|{guid}\nACGT\n".encode()
    with pytest.raises(NotLoadable, match=r"has a \+, which newer builds .* take for a space.*--plus-in-ids"):
        read_sample(content, "s1.fasta", FastaRules(strict_ids=False))
    assert read_sample(content, "s1.fasta", FastaRules(strict_ids=False, plus_in_ids=True)).guid == guid


@pytest.mark.parametrize("guid", ["a+/b", "+" * 60, "a +b"])
def test_a_plus_saves_no_other_bad_id(guid: str) -> None:
    with pytest.raises(
        NotLoadable, match="does not accept the id" if "/" in guid or len(guid) > 59 else r"has a \+|id"
    ):
        read_sample(f">GPAS_SP3|{guid}\nACGT\n".encode(), "s1.fasta", FastaRules(strict_ids=True, plus_in_ids=True))


def test_it_says_all_that_is_wrong_with_the_line() -> None:
    with pytest.raises(NotLoadable) as caught:
        read(b">GPAS_SP3|other\nACGT\nAC!T\n")
    assert "'other'" in str(caught.value)
    assert "'!' first in line 3" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b">GPAS_SP3|s1\nACGT\n+\nIIII\n", "quality string"),
        (b">GPAS_SP3|s1\nACGT\n+\nII\n", "quality string"),
        (b">GPAS_SP3|s1\nACGT\n+AC\nGTGT\n", "quality string"),
        (b">GPAS_SP3|s1\nAC\0GT\n", "line 2 is not text: it contains a NUL"),
        (b">GPAS_SP3|s1\0x\nACGT\n", "line 1 is not text"),
        (b">GPAS_SP3|s1\nAC\n@GT\n", "quality string"),
        (b">GPAS_SP3|s1\nAC\n>\nGT\n", "2 records"),
        (b">GPAS_SP3|s1\nAC>GT\n", "'>' first in line 2"),
        (b">GPAS_SP3|s1", "no sequence"),
        (b">", "does not begin with 'GPAS_SP3|': ''"),
        (b">\nACGT", "does not begin with 'GPAS_SP3|': ''"),
        (b">GPAS_SP3|s\xfc\nACGT", "line 1 is not UTF-8"),
        (b"\xef\xbb\xbf", "the file is empty"),
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
        "2 characters are not accepted by findNeighbour4: '!' first in line 3, '?' first in line 5 (unknown? use N)",
    ):
        assert words in str(caught.value)


def test_a_file_without_a_record_is_told_of_its_letters_too() -> None:
    with pytest.raises(NotLoadable, match=r"line 1 does not begin with '>'; 2 characters .* '!' first in line 2"):
        read(b"ACGT\nA!!\n")


@pytest.mark.parametrize("content", [b">GPAS_SP3|s1\n", b">GPAS_SP3|s1", b">GPAS_SP3|s1\n\n\n"])
def test_a_record_without_a_sequence_is_told_so(content: bytes) -> None:
    with pytest.raises(NotLoadable, match=r"^the record has no sequence$"):
        read(content)


def test_no_reason_holds_the_sequence() -> None:
    with pytest.raises(NotLoadable) as caught:
        read(b">" + b"ACGT" * 500 + b"\nACGT")
    assert len(str(caught.value)) < 250


def test_the_first_characters_fit_their_column() -> None:
    assert first_characters(b"\0\xff" * 100) == "\0\N{REPLACEMENT CHARACTER}" * 64
    assert first_characters("é".encode() * 200) == "é" * 64


def test_a_digest_does_not_care_for_case_as_the_server_does_not() -> None:
    one, two = (read_sample(b">GPAS_SP3|s1\n" + letters, "s1.fasta", FastaRules()) for letters in (b"acgt", b"ACGT"))
    assert one.digest == two.digest


def peak_of(content: bytes) -> tuple[int, str]:
    """Bytes that were needed to find what is wrong with it, and that."""
    tracemalloc.start()
    try:
        with pytest.raises(NotLoadable) as caught:
            read_sample(content, "s1.fasta", FastaRules())
        return tracemalloc.get_traced_memory()[1], str(caught.value)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b">a\n" * 1_000_000, "1,000,000 records instead of one (multifasta); the second begins in line 2"),
        (b">GPAS_SP3|s1\n" + "\N{DNA DOUBLE HELIX}".encode() + b"E" * 3_000_000, "3,000,001 characters are not"),
        (b">GPAS_SP3|s1\n" + b"\n" * 3_000_000, "the record has no sequence"),
    ],
    ids=["records", "wide", "lines"],
)
def test_what_is_wrong_with_a_bomb_is_found_in_a_few_times_its_size(content: bytes, words: str) -> None:
    peak, fault = peak_of(content)
    assert words in fault
    assert peak < 6 * len(content)


def test_letters_beyond_one_slice_are_counted_and_named() -> None:
    sequence = "é" * 100_001 + "È" + "A" * 100_000
    _, fault = peak_of(f">GPAS_SP3|s1\nA{sequence}".encode())
    assert fault.endswith("100,002 characters are not accepted by findNeighbour4: 'È', 'é' first in line 2")
    _, fault = peak_of(f">GPAS_SP3|s1\nA{sequence}".encode() + b"\n\xff")
    assert "line 3 is not UTF-8 (byte 300019)" in fault
