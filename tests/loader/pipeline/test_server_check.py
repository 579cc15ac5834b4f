"""What a server says about itself: its reference, and the number of its samples."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from loader.choices import LoadResult, ObjectState
from loader.models import Server, ServerReading
from tests.support.feeding import LENGTH, REFERENCE, Feeding
from tests.support.feeds import add_object
from tests.support.passes import Passes

TOO_LONG = REFERENCE + "ACGT"
REASON = f"{len(TOO_LONG)} letters; the server's reference has {LENGTH}"


def other_reference(passes: Passes, length: int) -> None:
    """Another server behind the same URL."""
    arguments = passes.fn4.arguments
    arguments[arguments.index("--reference-length") + 1] = str(length)
    passes.fn4.stop()
    passes.fn4.start()


def test_it_is_asked_once_a_minute_and_what_it_said_is_kept(passes: Passes) -> None:
    for _ in range(3):
        passes.turn()
    server, reading = passes.server, ServerReading.objects.get()
    assert (server.name, server.version, server.reference_length) == ("SANDBOX", "sandbox", LENGTH)
    assert server.max_unknown
    assert (server.engine_samples, reading.engine_samples) == (0, 0)
    assert reading.memory_total
    passes.a_minute_later()
    passes.turn(in_job=True)
    assert passes.fn4.stats()["memory_questions"] == ServerReading.objects.count() == 2


def test_a_wrong_length_is_rejected_unsent_with_both_numbers(passes: Passes) -> None:
    passes.put("good1")
    passes.put("long", letters=TOO_LONG)
    passes.put("good2")
    result = passes.turn()
    assert (result.inserted, result.rejected) == (2, 1)
    assert passes.fn4.requests("POST") == 2
    assert ("rejected", REASON) in passes.objects("state", "reason")


def test_a_feed_of_wrong_lengths_is_at_the_wrong_server_and_nothing_stays_rejected(passes: Passes) -> None:
    passes.put(*(f"s{number:02}" for number in range(30)), letters=TOO_LONG)
    result = passes.turn()
    assert result.misconfigured
    assert "another length than the server's reference" in result.trouble
    assert passes.fn4.requests("POST") == 0
    assert (set(passes.objects("state", "reason")), result.rejected) == ({("waiting", "")}, 0)
    passes.feed.refresh_from_db()
    assert passes.feed.paused_at
    assert REASON in passes.feed.pause_reason


def test_a_good_file_between_wrong_ones_keeps_the_feed_going(passes: Passes) -> None:
    for number in range(4):
        passes.put(*(f"long{number}-{place}" for place in range(7)), letters=TOO_LONG)
        passes.put(f"good{number}")
    result = passes.turn()
    assert (result.trouble, result.inserted, result.rejected) == ("", 4, 28)


def test_what_was_rejected_for_its_length_waits_again_when_the_reference_changes(passes: Passes) -> None:
    passes.put("good")
    passes.put("long", letters=TOO_LONG)
    passes.put("stop", letters="ACGT*")
    assert passes.turn().rejected == 2
    other_reference(passes, len(TOO_LONG))
    passes.a_minute_later()
    result = passes.turn()
    assert (result.inserted, passes.fn4.guids()) == (1, ["long"])
    assert passes.objects("name", "state") == [
        ("good.fasta", "loaded"),
        ("long.fasta", "loaded"),
        ("stop.fasta", "rejected"),
    ]
    assert any("is it another server?" in line for line in passes.log)


def test_a_server_that_does_not_tell_is_asked_by_inserts_as_ever(passes: Passes) -> None:
    passes.turn()
    passes.fn4.faults({"kind": "status", "status": 404, "path": "server_memory_usage"})
    passes.a_minute_later()
    passes.put("good")
    passes.put("long", letters=TOO_LONG)
    result = passes.turn()
    assert (result.inserted, result.rejected, passes.fn4.requests("POST")) == (1, 1, 2)
    assert passes.server.reference_length is None, "what was known may be of another server"


@pytest.mark.parametrize("kept", [0, 2])
def test_a_server_that_was_emptied_or_restored_is_an_error_at_the_first_pass(passes: Passes, kept: int) -> None:
    passes.put("s1", "s2", "s3", "s4")
    passes.turn()
    passes.turn()
    assert "server_shrunk" not in passes.concerns()
    passes.fn4.restored(kept)
    passes.a_minute_later()
    sent = passes.fn4.requests("POST")
    passes.turn()
    text = passes.concerns()["server_shrunk"]
    assert f"{4 - kept} of 4 samples are missing" in text
    assert "restored from a backup" in text
    assert passes.fn4.requests("POST") == sent, "nothing is sent again by itself"

    passes.put("s5")
    passes.turn()
    passes.turn()
    assert f"{4 - kept} of 5 samples are missing" in passes.concerns()["server_shrunk"], (
        "what was loaded since is there"
    )
    for number in range(kept, 4):
        passes.fn4.insert(f"s{number + 1}", REFERENCE)
    Server.objects.update(counted_at=Now() - timedelta(hours=2))
    passes.turn()
    assert "server_shrunk" not in passes.concerns()


def test_what_was_loaded_since_the_last_count_is_missed_too(passes: Passes) -> None:
    passes.put("s1", "s2", "s3")
    passes.turn()
    passes.fn4.emptied()
    passes.turn()
    assert "3 of 3 samples are missing" in passes.concerns()["server_shrunk"]


def test_the_first_count_is_compared_with_the_ledger(passes: Passes) -> None:
    for number in range(3):
        add_object(passes.feed, f"s{number}", ObjectState.LOADED, result=LoadResult.INSERTED)
    add_object(passes.feed, "other", ObjectState.LOADED, result=LoadResult.PRESENT)
    passes.fn4.insert("s0", REFERENCE)
    passes.turn()
    assert "2 of 3 samples are missing" in passes.concerns()["server_shrunk"]


def test_a_server_that_was_away_is_counted_when_it_is_back(passes: Passes) -> None:
    passes.put("s1", "s2")
    passes.turn()
    passes.turn()
    passes.fn4.stop()
    passes.turn(in_job=True)
    passes.fn4.start()
    passes.turn()
    assert "2 of 2 samples are missing" in passes.concerns()["server_shrunk"]


@pytest.mark.parametrize("command", [("acknowledge", "{}"), ("reconcile", "{}", "--repair", "--yes")])
def test_a_person_ends_it(feeding: Feeding, command: tuple[str, ...]) -> None:
    feeding.put_samples("s1", "s2")
    feeding.load()
    feeding.fn4.emptied()
    feeding.load()
    assert "holds fewer samples" in feeding.manage("fnstatus").stdout
    feeding.manage("feed", *(part.format(feeding.bucket) for part in command))
    assert "holds fewer samples" not in feeding.manage("fnstatus").stdout
    feeding.load()
    assert "holds fewer samples" not in feeding.manage("fnstatus").stdout
    assert len(feeding.fn4.guids()) == (2 if command[0] == "reconcile" else 0)
