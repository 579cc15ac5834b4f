"""The search box takes what people paste."""

from __future__ import annotations

import unicodedata

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from batches.keys import comparison_form
from batches.models import Batch, BatchRecord
from core.pasted import clean, search_terms, spellings
from loader.choices import ObjectState
from loader.models import LoadAttempt
from tests.support.feeds import MakeFeed, add_object


@pytest.mark.parametrize(
    "text",
    [
        "s1",
        "  s1\n",
        "\ufeffs1",
        "s\u200b1\u200d",
        "\u00a0s1\u00a0",
        "\u202as1\u202c",
        '"s1"',
        "\u201cs1\u201d",
        "'s1'\r\nnext line",
        "\n\ns1\tnext cell\tthird",
        "s1\0",
        "`s1`",
    ],
)
def test_text_is_cleaned(text: str) -> None:
    assert clean(text) == "s1"


@pytest.mark.parametrize(
    ("text", "term"),
    [
        (">GPAS_SP3|s1 a description", "s1"),
        ("GPAS_SP3|s1", "s1"),
        (">hCoV-19/England/1/2020|EPI_ISL_1|2020-03-01", "EPI_ISL_1"),
        (">s1 a description", "s1"),
        ("/data/run 1/s1.fasta", "s1"),
        ("C:\\data\\run 1\\s1.fasta.gz", "s1"),
        ("oci://queue@ns/run%201/s1.fasta", "run 1/s1.fasta"),
        ("s3://bucket/in/s1.fa", "s1"),
        ('"in/s1.1.fasta"', "s1"),
        ("plc/A67.1.xml", "A67.1"),
    ],
)
def test_what_is_searched_for_is_among_the_terms(text: str, term: str) -> None:
    assert term in search_terms(text)
    assert search_terms(text)[0] in (clean(text), clean(text).removeprefix(">"))


def test_nothing_is_searched_for_nothing() -> None:
    assert [search_terms(text) for text in ("", " ", "\ufeff", '""', ">", "\u200b\n")] == [[]] * 6


def test_both_spellings_of_a_letter_are_tried() -> None:
    assert spellings("s1") == ["s1"]
    assert spellings("Müller") == ["Müller", unicodedata.normalize("NFD", "Müller")]


@pytest.fixture
def boss() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        "s1.fasta",
        "in/s1.fasta",
        "/mnt/bucket/in/s1.fasta",
        "\\\\server\\share\\in\\s1.fasta",
        "oci://queue@ns/in/s1.fasta",
        ">GPAS_SP3|s1 Homo sapiens",
        "\ufeff\u201cs1.fasta\u201d",
        "s1.fasta\u200b\u00a0",
    ],
)
def test_a_pasted_name_of_a_file_leads_to_its_sample(boss: Client, make_feed: MakeFeed, text: str) -> None:
    feed = make_feed()
    for sample in ("s1", "s10"):
        item = add_object(feed, sample, ObjectState.LOADED)
        type(item).objects.filter(pk=item.pk).update(name=f"in/{sample}.fasta")
        LoadAttempt.objects.create(feed=feed, seqid=sample, file_name=f"in/{sample}.fasta")
    assert boss.get("/search/", {"q": text})["location"] == "/sample/?id=s1"


@pytest.mark.django_db
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_an_identifier_is_found_in_both_spellings(boss: Client, stored: str, typed: str) -> None:
    name = unicodedata.normalize(stored, "Müller.1")  # type: ignore[arg-type]
    batch = Batch.objects.create(bid="plc", rectype="collectionobject", action="CREATE", uploaded_at=timezone.now())
    BatchRecord.objects.create(
        batch=batch,
        row=1,
        identifier=name,
        identifier_norm=comparison_form(name),
        action="CREATE",
        path="/x",
        upload_outcome="unuploadable",
    )
    text = unicodedata.normalize(typed, "/x/Müller.1.xml")  # type: ignore[arg-type]
    assert "batch plc, row 1" in boss.get("/search/", {"q": text}).content.decode()


@pytest.mark.django_db
def test_filters_of_lists_take_pasted_text_too(boss: Client, make_feed: MakeFeed) -> None:
    add_object(make_feed(), "s1")
    for text in ('"s1"', "\ufeffs1\u200b", "\u00a0s1"):
        assert "1 to 1 of 1" in " ".join(boss.get("/files/", {"q": text}).content.decode().split())
