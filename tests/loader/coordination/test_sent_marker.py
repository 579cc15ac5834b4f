"""A start that was committed ahead and never sent: who comes after a kill knows it from a note in shared memory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from loader.coordination import sent_marker
from loader.coordination.sent_marker import SentMarker, forget, last_sent
from tests.crash.test_fnload_killed import SAMPLES
from tests.support.feeding import Feeding
from tests.support.truth import assert_all_is_true
from tests.support.waiting import until

STARTED = "outcome = 'open' AND insert_start_time IS NOT NULL"


def kill_with_a_start_ahead(feeding: Feeding) -> str:
    """Kills a loader of which one insert is in flight and the next one's start is committed; returns the token of its lease."""
    feeding.put_samples(*SAMPLES[:6])
    feeding.fn4.insert_seconds(0.2)
    process = feeding.start()
    until(lambda: len(feeding.attempts("1", STARTED)) == 2, "one is in flight and the next one started", process)
    process.kill()
    process.communicate()
    ((token,),) = feeding.manage.rows("SELECT lease_token FROM loader_server")
    return str(token)


def test_what_was_started_ahead_and_not_sent_is_known_and_not_waited_for(feeding: Feeding) -> None:
    token = kill_with_a_start_ahead(feeding)
    sent, ahead = feeding.attempts("gp_int_id, seqid", STARTED)
    result = feeding.load(FN4_INSERT_DEADLINE="1500")
    assert result.returncode == 0, result.stderr
    (outcome,) = feeding.attempts("outcome", f"gp_int_id = {sent[0]}")
    assert outcome[0] in ("found", "inserted")
    assert feeding.attempts("outcome, insert_start_time", f"gp_int_id = {ahead[0]}") == [("not_sent", None)]
    assert last_sent(token) is None, "the note is deleted"
    assert_all_is_true(feeding)


def test_without_the_note_it_may_have_been_sent_and_is_waited_for(feeding: Feeding) -> None:
    forget(kill_with_a_start_ahead(feeding))
    _, ahead = feeding.attempts("gp_int_id, seqid", STARTED)
    result = feeding.load()
    assert "The server may still insert it" in result.stderr + result.stdout
    assert feeding.attempts("outcome, message", f"gp_int_id = {ahead[0]}") == [
        ("failed", "no answer was recorded: the loader ended")
    ]
    assert feeding.load().returncode == 0
    assert_all_is_true(feeding)


def test_a_note_says_what_was_sent_last() -> None:
    token = secrets.token_hex(16)
    assert last_sent(token) is None
    note = SentMarker(token)
    assert last_sent(token) is None, "nothing was noted yet"
    for place in (0, 1_234_567, 7):
        note.write(place)
        assert last_sent(token) == place
    note.close()
    forget(token)
    assert last_sent(token) is None


@pytest.mark.parametrize("wrong", ["../etc", "", "x" * 32])
def test_a_token_that_is_none_names_no_file(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_marker, "FOLDER", tmp_path)
    SentMarker(wrong).write(1)
    assert last_sent(wrong) is None
    assert list(tmp_path.rglob("*")) == []


def test_a_folder_that_others_may_write_to_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_marker, "FOLDER", tmp_path)
    token = secrets.token_hex(16)
    folder = tmp_path / f"fnloader-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / token).write_bytes(b"0000000000")
    assert last_sent(token) is None
    folder.chmod(0o700)
    assert last_sent(token) == 0
    monkeypatch.setattr(sent_marker, "FOLDER", tmp_path / "nowhere")
    SentMarker(token).write(1)
    assert last_sent(token) is None
