"""The findNeighbour4 stand-in: each row of the table in domain.md 2, the lock, and faults on demand."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from sandbox.clients import Fn4Sandbox
from tests.sandbox.calls import GOOD, HTML, LENGTH, exists, get, insert, wait_until

SLOW = 0.3


def test_it_says_who_it_is(box: Fn4Sandbox) -> None:
    assert set(get(box, "server_time").json()) == {"server_name", "server_time"}
    assert "stand-in" in get(box, "server_name").json()["server_description"]
    assert get(box, "snpceiling").json() == {"snpceiling": 20}
    assert get(box, "nothing").status_code == 404


@pytest.mark.parametrize("seq", [GOOD, GOOD.lower(), "ACGTNRYSWKMBDHV-" + "A" * 24])
def test_a_new_sample_is_stored_as_it_was_sent(box: Fn4Sandbox, seq: str) -> None:
    assert not exists(box, "s1")
    answer = insert(box, "s1", seq)
    assert (answer.status_code, answer.json()) == (200, "Guid s1 inserted.")
    assert exists(box, "s1")
    sample = box.samples()["s1"]
    assert (sample["sha256"], sample["length"]) == (hashlib.sha256(seq.encode()).hexdigest(), LENGTH)
    assert (sample["valid"], sample["calls"], sample["answers"]) == (True, 1, [200])


def test_too_many_unknown_letters_are_stored_as_invalid(box: Fn4Sandbox) -> None:
    assert insert(box, "good").status_code == insert(box, "bad", "N" * LENGTH).status_code == 200
    assert [get(box, f"{guid}/valid").json() for guid in ("good", "bad", "unknown")] == [0, 1, -1]


def test_an_id_that_is_there_is_201_whatever_the_sequence(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    for seq in (GOOD, "T" * LENGTH, "too short", ""):
        answer = insert(box, "s1", seq)
        assert (answer.status_code, answer.json()) == (201, "Guid s1 is already present")
    assert box.samples()["s1"]["sha256"] == hashlib.sha256(GOOD.encode()).hexdigest()


def test_a_long_id_is_refused(box: Fn4Sandbox) -> None:
    assert insert(box, "x" * 60).status_code == 403
    assert insert(box, "x" * 59).status_code == 200
    assert box.guids() == ["x" * 59]


@pytest.mark.parametrize(
    ("seq", "reason"),
    [
        (GOOD[:-1], "sequence must of the same length as reference; seq is 39 and ref is 40"),
        ("", "non-zero length"),
        ("X" + GOOD[1:], "1 invalid characters"),
        (" " + GOOD[1:], "1 invalid characters"),
        ("U?.*" + GOOD[4:], "4 invalid characters"),
        (GOOD[:-2] + "\r\n", "2 invalid characters"),
    ],
)
def test_a_wrong_sequence_is_500_with_the_reason_in_html(box: Fn4Sandbox, seq: str, reason: str) -> None:
    answer = insert(box, "s1", seq)
    assert answer.status_code == 500
    assert answer.text.startswith(HTML)
    assert reason in answer.text
    assert not exists(box, "s1")


NEW_BUILD = ["", ".", "..", *(f"a{letter}b" for letter in "/#?+")]
OLD_BUILD = ["", ".", "..", "é", "a b", *(f"a{letter}b" for letter in '/\\|#?%"^[]{}<>`')]


@pytest.mark.parametrize(
    ("build", "guid"), [*(("new", guid) for guid in NEW_BUILD), *(("old", guid) for guid in OLD_BUILD)]
)
def test_an_id_that_breaks_links_is_503_and_stored_all_the_same(box: Fn4Sandbox, build: str, guid: str) -> None:
    box.engine_build(build)
    answer = insert(box, guid, "AC" * 20)
    assert answer.status_code == 503
    assert answer.json().startswith(f"Error raised on persisting {guid}: {{'A': [0, 2, 4,"), "positions of letters"
    assert insert(box, guid).status_code == 201
    assert guid in get(box, "guids").json()
    assert (box.samples()[guid]["links"], box.stats()["links_missing"]) == (False, 1)


@pytest.mark.parametrize(
    ("build", "guid"), [("new", """a._~:;,=@&()!*'$-Z9 é|%"^[]{}<>`\\"""), ("old", "a._~:;,+=@&()!*'$-Z9")]
)
def test_every_other_character_is_fine_in_an_id(box: Fn4Sandbox, build: str, guid: str) -> None:
    box.engine_build(build)
    assert insert(box, guid).status_code == 200
    assert exists(box, quote(guid, safe=""))
    assert box.samples()[guid]["links"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"guid": "s1"}},
        {"data": {"seq": GOOD}},
        {"json": {"guid": "s1", "seq": GOOD}},
        {"files": {"guid": (None, "s1"), "seq": (None, GOOD)}},
        {"data": {"guid": "s1", "seq": GOOD}, "headers": {"Content-Encoding": "gzip"}},
    ],
)
def test_a_body_without_the_two_fields_is_501(box: Fn4Sandbox, body: dict[str, dict[str, str]]) -> None:
    answer = requests.post(f"{box.url}/api/v2/insert", timeout=5, **body)  # type: ignore[arg-type]
    assert answer.status_code == 501
    assert not exists(box, "s1")


def test_every_answer_closes_the_connection(box: Fn4Sandbox) -> None:
    answers = [get(box, "server_time"), get(box, "guids"), get(box, "none/annotation"), insert(box, "s1")]
    answers += [insert(box, "s2", "bad"), insert(box, "x" * 60), insert(box, "s1")]
    assert {answer.headers["Connection"] for answer in answers} == {"close"}


def test_an_annotation_is_404_for_an_unknown_id(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    assert get(box, "s1/annotation").json()["guid"] == "s1"
    assert get(box, "s2/annotation").status_code == 404


def test_it_lists_ids_and_those_after_one(box: Fn4Sandbox) -> None:
    for guid in ("s1", "s2", "s3"):
        insert(box, guid)
    assert get(box, "guids").json() == ["s1", "s2", "s3"]
    assert get(box, "guids_added_after_sample/s1").json() == ["s2", "s3"]
    assert get(box, "guids_added_after_sample/s9").status_code == 404


def test_another_insert_in_flight_is_a_conflict_at_once(box: Fn4Sandbox) -> None:
    box.insert_seconds(SLOW)
    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(insert(box, "s1").status_code))
    first.start()
    wait_until(lambda: box.stats()["in_flight"] == 1)
    assert insert(box, "s2").status_code == 409
    first.join()
    assert answers == [200]
    assert box.guids() == ["s1"]
    stats = box.stats()
    assert (stats["inserts"], stats["conflicts"], stats["most_in_flight"]) == (1, 1, 2)
    assert stats["busy_seconds"] >= SLOW


def test_the_busy_share_is_the_time_with_an_insert_in_flight(box: Fn4Sandbox) -> None:
    box.insert_seconds(0.05)
    insert(box, "s1")
    time.sleep(0.1)
    insert(box, "s2")
    stats = box.stats()
    assert stats["busy_seconds"] >= 0.1
    assert stats["last_end"] - stats["first_start"] >= 0.2
    assert 0 < stats["busy_share"] < 1


def test_an_insert_goes_on_when_its_client_is_gone(box: Fn4Sandbox) -> None:
    box.insert_seconds(SLOW)
    with pytest.raises(requests.exceptions.ReadTimeout):
        insert(box, "s1", timeout=0.05)
    assert box.samples()["s1"]["answers"] == [0]
    wait_until(lambda: exists(box, "s1"))
    assert box.samples()["s1"]["answers"] == [200]


def test_a_lock_that_a_crash_left_refuses_inserts_until_it_is_freed(box: Fn4Sandbox) -> None:
    insert(box, "there")
    box.set(stale_lock=60)
    assert (insert(box, "s1").status_code, insert(box, "there").status_code) == (409, 201)
    box.set(stale_lock=0)
    assert insert(box, "s1").status_code == 200


def test_without_its_database_only_server_time_answers(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    box.database_down()
    assert get(box, "server_time").status_code == 200
    for answer in (get(box, "s1/exists"), get(box, "guids"), get(box, "s1/annotation"), insert(box, "s2")):
        assert (answer.status_code, answer.text.startswith(HTML)) == (500, True)
    box.database_down(down=False)
    assert box.guids() == ["s1"]


@pytest.mark.parametrize(("when", "stored"), [("before", False), ("after", True)])
def test_a_reset_can_come_before_or_after_the_work(box: Fn4Sandbox, when: str, *, stored: bool) -> None:
    box.faults({"kind": "reset", "method": "POST", "name_prefix": "s1", "when": when, "times": 1})
    with pytest.raises(requests.exceptions.ConnectionError):
        insert(box, "s1")
    assert exists(box, "s1") is stored
    assert insert(box, "s1").status_code == (201 if stored else 200)


def test_a_gateway_can_give_up_while_the_insert_goes_on(box: Fn4Sandbox) -> None:
    box.insert_seconds(SLOW)
    box.faults({"kind": "status", "status": 504, "body": "<html>Gateway Time-out</html>", "when": "during"})
    answer = insert(box, "s1")
    assert (answer.status_code, answer.headers["Content-Type"]) == (504, "text/html; charset=utf-8")
    box.clear_faults()
    assert not exists(box, "s1")
    wait_until(lambda: exists(box, "s1"))


def test_a_fault_can_be_a_status_in_the_words_of_the_server(box: Fn4Sandbox) -> None:
    box.faults({"kind": "status", "status": 500, "message": "engine away", "times": 1})
    box.faults({"kind": "status", "status": 503, "message": "busy", "times": 1})
    page, text = insert(box, "s1"), insert(box, "s1")
    assert (page.status_code, "engine away" in page.text, page.text.startswith(HTML)) == (500, True, True)
    assert (text.status_code, "busy" in text.json()) == (503, True)


def test_a_proxy_can_show_its_login_page(box: Fn4Sandbox) -> None:
    box.faults({"kind": "page", "times": 1}, {"kind": "redirect", "body": "https://login.invalid/", "times": 1})
    answer = insert(box, "s1")
    assert (answer.status_code, "<form>" in answer.text) == (200, True)
    url = f"{box.url}/api/v2/s1/exists"
    assert requests.get(url, timeout=5, allow_redirects=False).headers["Location"] == "https://login.invalid/"


def test_a_fault_can_hang_or_delay(box: Fn4Sandbox) -> None:
    box.faults({"kind": "hang", "times": 1}, {"kind": "delay", "seconds": 0.1, "times": 1})
    with pytest.raises(requests.exceptions.ReadTimeout):
        insert(box, "s1", timeout=0.1)
    assert insert(box, "s1").status_code == 200
    assert [entry["status"] for entry in box.log("POST")] == [499, 200]


def test_one_in_every_few_requests_can_fail(box: Fn4Sandbox) -> None:
    box.faults({"kind": "status", "status": 503, "path": "/insert", "every": 3})
    assert [insert(box, f"s{number}").status_code for number in range(6)] == [503, 200, 200, 503, 200, 200]


def test_the_log_names_the_guids(box: Fn4Sandbox) -> None:
    insert(box, "s1")
    get(box, "s1/exists")
    assert [(entry["method"], entry["name"], entry["status"]) for entry in box.log()] == [
        ("POST", "s1", 200),
        ("GET", "s1", 200),
    ]


def test_samples_can_come_and_go_behind_its_back(box: Fn4Sandbox) -> None:
    box.insert("s1", GOOD)
    assert exists(box, "s1")
    assert box.stats()["inserts"] == 0
    box.forget("s1")
    assert not exists(box, "s1")


def test_it_can_ask_for_a_password_and_stand_under_a_path() -> None:
    with Fn4Sandbox(LENGTH, auth="user:secret", prefix="/covid") as box:
        url = f"{box.endpoint}/covid/api/v2/guids"
        assert (requests.get(url, timeout=5).status_code, box.url) == (401, f"{box.endpoint}/covid")
        assert requests.get(url, timeout=5, auth=("user", "wrong")).status_code == 401
        assert requests.get(url, timeout=5, auth=("user", "secret")).json() == []
        elsewhere = f"{box.endpoint}/api/v2/guids"
        assert requests.get(elsewhere, timeout=5, auth=("user", "secret")).status_code == 404


def test_with_a_store_its_samples_outlive_a_kill(tmp_path: Path) -> None:
    store = tmp_path / "samples.jsonl"
    with Fn4Sandbox(LENGTH, store=str(store)) as box:
        for guid in ("s1", "s2", "s3"):
            insert(box, guid)
        box.forget("s2")
        box.insert_seconds(60)
        with pytest.raises(requests.exceptions.ReadTimeout):
            insert(box, "unfinished", timeout=0.1)
        box.kill()
        with store.open("ab") as file:
            file.write(b'{"guid": "cut short')
        box.start()
        assert box.guids() == ["s1", "s3"]
        assert insert(box, "s4").status_code == 200
        box.kill()
        box.start()
        assert box.guids() == ["s1", "s3", "s4"]


def test_a_genome_of_the_usual_size_is_taken() -> None:
    genome = "ACGT" * 1_100_000
    with Fn4Sandbox(len(genome)) as box:
        assert insert(box, "tb", genome).status_code == 200
        assert box.samples()["tb"]["sha256"] == hashlib.sha256(genome.encode()).hexdigest()
