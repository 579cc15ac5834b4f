"""The findNeighbour4 stand-in's engine, links and lock: what is stored when something dies, and what it says of it."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
import requests

from sandbox.clients import Fn4Sandbox
from tests.sandbox.calls import GOOD, HTML, LENGTH, exists, get, insert, wait_until

NEAR = "T" + GOOD[1:]
"""One letter from GOOD."""


def samples_in_engine(box: Fn4Sandbox) -> int:
    rows = get(box, "server_memory_usage/1").json()
    return next(int(row["value"]) for row in rows if row["detail"] == "catwalk comparison engine n_samples")


def neighbours(box: Fn4Sandbox, guid: str, more: str = "") -> list[object]:
    found: list[object] = get(box, f"{guid}/neighbours_within/20{more}").json()
    return found


def test_without_its_engine_it_answers_all_but_inserts_and_the_memory_question(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    box.engine_down()
    for answer in (insert(box, "s2"), insert(box, "s1"), get(box, "server_memory_usage/1")):
        assert (answer.status_code, answer.text.startswith(HTML)) == (500, True)
    for what in ("s1/exists", "s2/exists", "guids", "s1/annotation", "s1/neighbours_within/20", "server_time"):
        assert get(box, what).status_code == 200
    assert not exists(box, "s2")
    box.engine_down(down=False)
    assert (insert(box, "s2").status_code, samples_in_engine(box)) == (200, 2)


def test_a_read_only_database_refuses_inserts_and_answers_the_rest(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    box.read_only()
    answer = insert(box, "s2")
    assert (answer.status_code, answer.text.startswith(HTML)) == (500, True)
    assert (exists(box, "s1"), exists(box, "s2")) == (True, False)
    box.read_only(on=False)
    assert insert(box, "s2").status_code == 200


def test_an_engine_that_dies_during_inserts_leaves_rows_without_links_and_is_down(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    box.engine_dies(2)
    answers = [insert(box, "s2", NEAR), insert(box, "s3", NEAR), insert(box, "s4", NEAR)]
    assert [answer.status_code for answer in answers] == [503, 503, 500]
    assert get(box, "guids").json() == ["s1", "s2", "s3"]
    box.engine_down(down=False)
    assert [insert(box, guid, NEAR).status_code for guid in ("s2", "s4")] == [201, 200]
    assert neighbours(box, "s1") == [["s4", 1]]
    assert neighbours(box, "s4") == [["s1", 1], ["s2", 0], ["s3", 0]], "the engine was filled from the database"
    assert neighbours(box, "s2") == [["s4", 0]], "nothing repairs the links to earlier samples"
    assert [sample["links"] for sample in box.samples().values()] == [True, False, False, True]
    assert box.stats()["links_missing"] == 2


def test_links_that_break_leave_the_engine_up_with_fewer_samples(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    box.breaks_links(1)
    assert [insert(box, "s2").status_code, insert(box, "s3").status_code] == [503, 200]
    assert (samples_in_engine(box), len(get(box, "valid_guids").json())) == (2, 3)
    assert neighbours(box, "s3") == [["s1", 0]]


def test_an_id_that_breaks_links_is_in_the_engine(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    insert(box, "a+b")
    insert(box, "s3")
    assert samples_in_engine(box) == 3
    assert neighbours(box, "a+b") == [["s3", 0]]


def test_a_death_before_the_links_is_a_reset_connection_and_a_row(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    box.dies_before_links()
    with pytest.raises(requests.exceptions.ConnectionError):
        insert(box, "s2")
    assert exists(box, "s2")
    assert (insert(box, "s2").status_code, neighbours(box, "s2"), box.samples()["s2"]["links"]) == (201, [], False)


def test_the_lock_manager_frees_a_lock_that_a_crash_left(box: Fn4Sandbox) -> None:
    box.lock_manager(seconds=0.2)
    started = time.monotonic()
    box.stuck_lock()
    answer = insert(box, "s1")
    assert (answer.status_code, answer.json().count("\n")) == (409, 3)
    wait_until(lambda: insert(box, "s1").status_code == 200)
    assert time.monotonic() - started >= 0.2


def test_without_the_lock_manager_it_stays_until_somebody_drops_it(box: Fn4Sandbox) -> None:
    box.lock_manager(on=False, seconds=0)
    box.stuck_lock()
    assert [insert(box, "s1").status_code for _ in range(3)] == [409] * 3
    box.stuck_lock(on=False)
    assert insert(box, "s1").status_code == 200


def test_a_restart_drops_the_lock() -> None:
    with Fn4Sandbox(LENGTH, lock_manager=False) as box:
        box.stuck_lock()
        assert insert(box, "s1").status_code == 409
        box.kill()
        box.start()
        assert insert(box, "s1").status_code == 200


def test_an_annotation_has_the_md5_of_the_upper_cased_sequence(box: Fn4Sandbox) -> None:
    seq = "acgtNNN-RyKk" + "A" * 28
    insert(box, "s1", seq)
    answer = get(box, "s1/annotation").json()
    quality = answer.pop("DNAQuality")
    digest = hashlib.md5(seq.upper().encode(), usedforsecurity=False).hexdigest()
    assert (answer, quality["MD5"], box.samples()["s1"]["md5"]) == ({"guid": "s1"}, digest, digest)
    counts = {letter: quality[letter] for letter in "ACGTN-RYKk"}
    assert counts == {"A": 29, "C": 1, "G": 1, "T": 1, "N": 3, "-": 1, "R": 1, "Y": 1, "K": 2, "k": 0}
    assert (quality["mixed"], quality["ACTG"], quality["propACTG"], quality["length"]) == (4, 32, 0.8, LENGTH)
    assert quality["invalid"] == 0


def test_valid_and_invalid_samples_are_listed_apart(box: Fn4Sandbox) -> None:
    insert(box, "good")
    insert(box, "bad", "N" * LENGTH)
    assert (get(box, "valid_guids").json(), get(box, "invalid_guids").json()) == (["good"], ["bad"])
    assert get(box, "bad/annotation").json()["DNAQuality"]["invalid"] == 1
    assert samples_in_engine(box) == 1


def test_a_sequence_comes_back_masked_and_an_invalid_one_not_at_all(box: Fn4Sandbox) -> None:
    insert(box, "s1", "acg-" + GOOD[4:])
    insert(box, "bad", "-" * LENGTH)
    assert get(box, "s1/sequence").json()["masked_dna"] == "ACGN" + GOOD[4:]
    bad = get(box, "bad/sequence").json()
    assert (bad["invalid"], "masked_dna" in bad) == (1, False)
    assert (get(box, "none/sequence").status_code, get(box, "none/sequence").json()) == (
        404,
        "guid none does not exist",
    )


def test_links_count_the_letters_that_both_know(box: Fn4Sandbox) -> None:
    insert(box, "s1", "AAAA" + GOOD[4:])
    insert(box, "s2", "TNR-" + GOOD[4:].lower())
    insert(box, "far", "T" * LENGTH)
    insert(box, "bad", "N" * LENGTH)
    assert neighbours(box, "s1") == [["s2", 1]]
    assert neighbours(box, "s2", "/in_format/3") == ["s1"]
    assert neighbours(box, "s2", "/in_format/4") == [{"guid": "s1", "snv": 1}]
    assert neighbours(box, "s1", "/with_quality_cutoff/0.95") == []
    assert neighbours(box, "s1", "/with_quality_cutoff/0.9/in_format/3") == ["s2"]
    assert get(box, "s1/neighbours_within/0").json() == []
    assert [get(box, f"s1/neighbours_within/9/in_format/{form}").status_code for form in (2, 3)] == [422, 200]
    assert get(box, "none/neighbours_within/9").status_code == 404


def test_the_exact_distance_needs_no_link(box: Fn4Sandbox) -> None:
    box.breaks_links(1)
    insert(box, "s1")
    insert(box, "far", "T" * LENGTH)
    assert get(box, "s1/far/exact_distance").json() == {"guid1": "s1", "guid2": "far", "dist": 30}
    assert get(box, "s1/none/exact_distance").status_code == 404


def test_the_memory_question_tells_of_the_engine_and_is_counted(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    rows = get(box, "server_memory_usage/1").json()
    keys = ["_id", "event_time", "info_message", "value", "descriptor1", "descriptor2", "detail"]
    assert {tuple(row) for row in rows} == {tuple(keys)}
    values = {row["detail"].removeprefix("catwalk comparison engine "): row["value"] for row in rows}
    assert (values["reference_sequence_length"], values["max_n_positions"], values["n_samples"]) == (LENGTH, 12, 1)
    assert box.stats()["memory_questions"] == 1
    insert(box, "s2")
    both = [row for row in get(box, "server_memory_usage/2").json() if row["detail"].endswith("n_samples")]
    assert [row["value"] for row in both] == [2, 1], "the latest first"
    assert both[0]["_id"] > both[1]["_id"]


def test_the_mirror_echoes_a_form_and_inserts_nothing(box: Fn4Sandbox) -> None:
    form = {"guid": "s1", "seq": GOOD * 2500, "note": "a b&c=é"}
    assert requests.post(f"{box.url}/api/v2/mirror", data=form, timeout=5).json() == form
    assert get(box, "mirror").status_code == 405
    assert get(box, "guids").json() == []


def test_smaller_questions_are_answered_as_the_real_server_does(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    times = get(box, "guids_and_examination_times").json()
    assert times == {"s1": get(box, "s1/annotation").json()["DNAQuality"]["examinationDate"]}
    excluded = get(box, "nucleotides_excluded").json()
    assert excluded == {"exclusion_id": "Excl 0 nt [d751713988987e9331980363e24189ce]", "excluded_nt": []}
    assert get(box, "server_config").status_code == 404
    assert get(box, "server_database_usage").json()["latest_stats"] == {"storage_ratio": 1}
    missing = get(box, "s2/annotation")
    assert (missing.headers["Content-Type"], list(missing.json())) == ("application/json", ["error"])
    assert get(box, "s1/exists").headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_server_can_be_emptied_or_restored_to_its_first_samples(box: Fn4Sandbox) -> None:
    for guid in ("s1", "s2", "s3"):
        insert(box, guid)
    box.restored(2)
    assert (box.guids(), exists(box, "s3")) == (["s1", "s2"], False)
    box.emptied()
    assert (box.guids(), insert(box, "s1").status_code) == ([], 200)


def test_with_a_store_the_missing_links_outlive_kills(tmp_path: Path) -> None:
    with Fn4Sandbox(LENGTH, store=str(tmp_path / "samples.jsonl")) as box:
        insert(box, "s1", GOOD.lower())
        box.engine_dies(1)
        insert(box, "s2", NEAR)
        before = box.samples()
        for _ in range(2):
            box.kill()
            box.start()
            assert {
                guid: dict(kept, calls=1, answers=before[guid]["answers"]) for guid, kept in box.samples().items()
            } == before
            assert (neighbours(box, "s1"), samples_in_engine(box)) == ([], 2)
        insert(box, "s3")
        assert neighbours(box, "s2") == [["s3", 1]]


def test_links_of_genomes_are_true_to_the_letter() -> None:
    genome = "ACGT" * 1_100_000
    other = genome[:2_000_000] + "G" + genome[2_000_001:-1] + "A"
    with Fn4Sandbox(len(genome)) as box:
        assert [insert(box, "s1", genome).status_code, insert(box, "s2", other).status_code] == [200, 200]
        assert neighbours(box, "s2") == [["s1", 2]]
        assert get(box, "s2/sequence").json()["masked_dna"] == other


def test_sequences_of_other_lengths_come_back_whole(box: Fn4Sandbox) -> None:
    sent = {"first": GOOD, "shorter": GOOD[:-7], "longer": "ACGT" * 200, "again": GOOD}
    for guid, seq in sent.items():
        box.insert(guid, seq)
    for guid, seq in sent.items():
        quality = get(box, f"{guid}/annotation").json()["DNAQuality"]
        assert quality["MD5"] == hashlib.md5(seq.encode(), usedforsecurity=False).hexdigest()
        assert get(box, f"{guid}/sequence").json()["masked_dna"] == seq
