"""Files, names and store URLs as the world has them, from the bucket into the server."""

from __future__ import annotations

import gzip
import json

from sandbox.genomes import fasta, mutant
from sandbox.packing import bgzip
from tests.support.feeding import REFERENCE, Feeding


def show(feeding: Feeding, feed: str = "") -> dict[str, object]:
    shown = feeding.manage("feed", "show", feed or feeding.bucket, "--json")
    assert shown.returncode == 0, shown.stderr
    details: dict[str, object] = json.loads(shown.stdout)
    return details


def put_rna(feeding: Feeding, number: int) -> None:
    for place in range(number):
        rna = mutant(REFERENCE, place).replace("T", "U")
        feeding.put(f"r{place:02}.fasta", fasta(f"r{place:02}", rna), created=f"2025-01-01T00:00:{place:02}.000Z")


def test_files_of_rna_are_rejected_one_by_one_and_never_pause_the_feed(feeding: Feeding) -> None:
    put_rna(feeding, 12)
    feeding.put_samples("s1")
    loaded = feeding.load()
    assert loaded.returncode == 10, loaded.stderr
    assert feeding.fn4.requests("POST") == 1, "no letter that the server refuses is sent"
    assert feeding.fn4.guids() == ["s1"], "what came after them is loaded"
    reasons = [reason for (reason,) in feeding.objects("reason") if reason]
    assert len(reasons) == 12
    assert all("'U' first in line 2 (RNA?" in reason for reason in reasons)
    assert show(feeding)["paused_at"] is None


def test_a_feed_may_load_rna_as_dna(feeding: Feeding) -> None:
    put_rna(feeding, 2)
    feeding.load()
    changed = feeding.manage("feed", "set", feeding.bucket, "--rna-as-dna")
    assert changed.returncode == 0, changed.stderr
    assert show(feeding)["rna_as_dna"] is True
    assert "2 rejected files" in feeding.manage("feed", "retry", feeding.bucket, "--reason", "RNA").stdout
    assert feeding.load().returncode == 0
    feeding.sent = {f"r{place:02}": mutant(REFERENCE, place) for place in range(2)}
    feeding.assert_every_sample_is_in_once()


def test_files_that_mean_the_same_are_loaded_however_they_are_packed(feeding: Feeding) -> None:
    genomes = {
        name: mutant(REFERENCE, number) for number, name in enumerate(("bom", "crlf", "cr", "zeros", "block", "plain"))
    }
    texts = {name: fasta(name, genome) for name, genome in genomes.items()}
    feeding.put("bom.fasta", b"\xef\xbb\xbf" + texts["bom"])
    feeding.put("crlf.fas", texts["crlf"].replace(b"\n", b"\r\r\n"))
    feeding.put("cr.fsa", texts["cr"].replace(b"\n", b"\r"))
    feeding.put("zeros.fasta.gz", gzip.compress(texts["zeros"]) + bytes(512))
    feeding.put("block.fasta", bgzip(texts["block"]))
    feeding.put("plain.fa.gz", texts["plain"])
    loaded = feeding.load()
    assert loaded.returncode == 0, loaded.stdout
    feeding.sent = genomes
    feeding.assert_every_sample_is_in_once()


def test_an_object_uploaded_in_parts_is_checked_by_its_size(feeding: Feeding) -> None:
    sequence = mutant(REFERENCE, 1)
    feeding.put("parts.fasta", fasta("parts", sequence), parts=3)
    feeding.put("cut.fasta", fasta("cut", sequence), parts=2)
    feeding.oci.faults({"kind": "truncate", "name_prefix": "cut", "times": 100})
    assert feeding.load().returncode == 10
    assert feeding.objects("name, state, md5") == [("cut.fasta", "waiting", ""), ("parts.fasta", "loaded", "")]


def test_names_that_are_left_out_are_counted_by_ending_and_can_be_included(feeding: Feeding) -> None:
    feeding.put("a/readme.TXT", b"no FASTA file")
    feeding.put("s1.seq", fasta("s1", mutant(REFERENCE, 1)))
    feeding.put("s2.seq", fasta("s2", mutant(REFERENCE, 2)))
    assert feeding.load().returncode == 0
    assert show(feeding)["left_out"] == [
        {"ending": ".seq", "number": 2, "example": "s1.seq"},
        {"ending": ".txt", "number": 1, "example": "a/readme.TXT"},
    ]
    lines = feeding.manage("feed", "show", feeding.bucket).stdout
    assert "Left out by the endings (include them with manage.py feed set" in lines
    assert ".seq                       2  such as s1.seq" in lines
    refused = feeding.manage("feed", "set", feeding.bucket, "--endings", "a/b")
    assert (refused.returncode, "'.a/b' is not an ending" in refused.stderr) == (1, True)
    assert feeding.manage("feed", "set", feeding.bucket, "--endings", ".fasta .fa seq").returncode == 0
    assert feeding.load().returncode == 0
    assert feeding.fn4.guids() == ["s1", "s2"]
    assert [kind["ending"] for kind in show(feeding)["left_out"]] == [".txt"]  # type: ignore[attr-defined]


def test_the_end_of_a_store_url_is_a_folder_and_a_star_asks_for_a_prefix(feeding: Feeding) -> None:
    names = ("run1/a.fasta", "run1/deep/b.fasta", "run10/c.fasta", "run1-rejected/d.fasta", "run1.fasta")
    for number, name in enumerate(names):
        sample = name.rpartition("/")[2].removesuffix(".fasta")
        feeding.put(name, fasta(sample, mutant(REFERENCE, number)))
    url = feeding.oci.url(feeding.bucket) + "/run1"
    for again in (url, url + "/"):
        loaded = feeding.manage("fnload", feeding.fn4.url, again, "--once")
        assert loaded.returncode == 0, loaded.stderr
        assert feeding.fn4.guids() == ["a", "b"]
    assert feeding.manage.rows("SELECT store_url FROM loader_feed") == [(url + "/",)]
    added = feeding.manage("feed", "add", "wide", feeding.fn4.url, url + "*")
    assert "all names that begin with 'run1'" in added.stdout, added.stderr
    assert feeding.manage("fnload", feeding.fn4.url, url + "*", "--once").returncode == 0
    assert set(feeding.fn4.guids()) == {"a", "b", "c", "d", "run1"}
    assert show(feeding, "wide")["store_note"] == "all names that begin with 'run1'"
    twice = feeding.manage("feed", "add", "twice", feeding.fn4.url, url)
    assert (twice.returncode, "already loads this store" in twice.stderr) == (1, True)


def test_a_feed_from_before_keeps_what_its_url_meant(feeding: Feeding) -> None:
    url = feeding.oci.url(feeding.bucket) + "/run1"
    assert feeding.manage("feed", "add", "old", feeding.fn4.url, url).returncode == 0
    # As it was stored before a URL meant a folder.
    code = (
        "from core.digests import digest; from loader.models import Feed; "
        f"Feed.objects.update(store_url={url!r}, store_digest=digest({url!r}))"
    )
    assert feeding.manage("shell", "-v0", "-c", code).returncode == 0
    for number, name in enumerate(("run1/a", "run10/c")):
        feeding.put(f"{name}.fasta", fasta(name[-1], mutant(REFERENCE, number)))
    assert feeding.manage("fnload", feeding.fn4.url, url, "--once").returncode == 0
    assert set(feeding.fn4.guids()) == {"a", "c"}
    assert feeding.manage.rows("SELECT name FROM loader_feed") == [("old",)], "no second feed of the same bucket"
    assert "older than the rule" in str(show(feeding, "old")["store_note"])


def test_the_sample_id_may_be_the_name_without_its_ending_and_the_rule_is_tried_before_it_is_saved(
    feeding: Feeding,
) -> None:
    feeding.put("s1.1.fasta", fasta("s1.1", mutant(REFERENCE, 1)))
    url = feeding.oci.url(feeding.bucket)
    tried = feeding.manage("feed", "add", "dots", feeding.fn4.url, url, "--sample-id", "ending", "--dry-run")
    assert "s1.1.fasta: sample s1.1 (by the other rule: s1)" in tried.stdout, tried.stderr
    assert feeding.load().returncode == 10
    assert "the file name without its ending says so, too" in feeding.objects("reason")[0][0]
    tried = feeding.manage("feed", "set", feeding.bucket, "--sample-id", "ending", "--dry-run")
    assert "s1.1.fasta: sample s1.1 (by the other rule: s1)" in tried.stdout, tried.stderr
    assert show(feeding)["sample_id"] == "first-dot", "a dry run saves nothing"
    assert feeding.manage("feed", "set", feeding.bucket, "--sample-id", "ending").returncode == 0
    assert feeding.objects("seqid") == [("s1.1",)], "searches find it by the new id"
    assert feeding.manage("feed", "retry", feeding.bucket).returncode == 0
    assert feeding.load().returncode == 0
    assert feeding.fn4.guids() == ["s1.1"]
    assert show(feeding)["last_names"] == [
        {"name": "s1.1.fasta", "loaded": True, "id": "s1.1", "up_to_first_dot": "s1", "without_ending": "s1.1"}
    ]
