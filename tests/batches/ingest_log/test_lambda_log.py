"""Whose exception it is: of the last object key before it in the same log stream and request, and of no other."""

from __future__ import annotations

from collections.abc import Iterable

from batches.ingest_log import lambda_log
from batches.ingest_log.lambda_log import IngestTry, LambdaLogParser
from batches.keys import KeyMatcher, encode
from sandbox.lambdalog import line, lines_of

A, B, C = (encode("plc", "/p", one, "CREATE") for one in "abc")
FOREIGN = encode("plcx", "/p", "a", "CREATE")
R1, R2 = "c3579727-5004-597f-9921-ca8003e72416", "00000000-5004-597f-9921-ca8003e72416"


def read(events: Iterable[tuple[str, str]]) -> tuple[LambdaLogParser, dict[str, list[IngestTry]]]:
    """Events of streams, each a moment after the other; tries by key."""
    membership = KeyMatcher("plc")
    reader = LambdaLogParser("plc", lambda key: membership.classify(key) == "own")
    for at, (stream, message) in enumerate(events):
        reader.feed(stream, at, message)
    reader.end()
    found: dict[str, list[IngestTry]] = {}
    for one in reader.pop_finished():
        found.setdefault(one.key, []).append(one)
    return reader, found


def named(key: str, request: str = R1, stream: str = "s1") -> list[tuple[str, str]]:
    return [(stream, text) for text in lines_of(key, 0, request)]


def error(text: str, request: str = R1, stream: str = "s1") -> list[tuple[str, str]]:
    return [(stream, line("ERROR", 0, request, text))]


def messages(found: dict[str, list[IngestTry]]) -> dict[str, list[str | None]]:
    return {key: [one.message for one in tries] for key, tries in found.items()}


def test_an_exception_is_of_the_last_key_before_it() -> None:
    _, found = read(named(A) + named(B) + error("Exception: no") + named(C))
    assert messages(found) == {A: [None], B: ["no"], C: [None]}


def test_streams_and_requests_are_told_apart_however_they_mix() -> None:
    events = named(A, R1, "s1") + named(B, R2, "s2") + named(C, R2, "s1") + named(FOREIGN, R1, "s2")
    events += error("of a", R1, "s1") + error("of b", R2, "s2") + error("of c", R2, "s1") + error("of none", R1, "s2")
    reader, found = read(events)
    assert messages(found) == {A: ["of a"], B: ["of b"], C: ["of c"]}
    assert reader.unmatched == 0


def test_no_such_key_is_noise_and_no_try() -> None:
    _, found = read(named(A) + error("Exception: An error occurred (NoSuchKey) when calling the GetObject operation"))
    assert [(one.message, one.only_no_such_key) for one in found[A]] == [(None, True)]
    _, found = read(named(A) + error("Exception: NoSuchKey") + error("409") + error("NoSuchKey"))
    assert [(one.message, one.only_no_such_key) for one in found[A]] == [("409", False)]


def test_the_last_exception_of_a_try_counts() -> None:
    _, found = read(named(A) + error("first") + error("second"))
    assert messages(found) == {A: ["second"]}


def test_each_time_a_key_is_named_is_a_try() -> None:
    _, found = read(named(A) + error("one") + named(A, R1, "s2") + error("two", R1, "s2") + named(A, R2))
    assert sorted(one.at for one in found[A]) == [0, 4, 8]
    assert {one.message for one in found[A]} == {"one", "two", None}


def test_what_is_said_before_any_key_is_a_candidate_for_those_that_follow_in_the_request() -> None:
    reader, found = read(error("too early") + named(A) + named(B) + error("of b") + named(C, R2))
    assert messages(found) == {A: [None], B: ["of b"], C: [None]}
    assert [one.candidate for key in (A, B, C) for one in found[key]] == ["too early", "too early", None]
    assert reader.unmatched == 1


def test_what_the_platform_says_without_a_request_is_a_candidate_for_the_last_key_of_the_stream() -> None:
    said = [("s1", "[ERROR] MemoryError: no more\nTraceback (most recent call last):\n  File …")]
    reader, found = read(named(A) + named(B, R2, "s2") + said)
    assert messages(found) == {A: [None], B: [None]}
    assert (found[A][0].candidate, found[B][0].candidate) == ("MemoryError: no more", None)
    assert reader.unmatched == 1


def test_a_time_out_is_of_the_object_that_was_being_handled_also_after_the_request_has_ended() -> None:
    ends = [("s1", f"END RequestId: {R1}\n"), ("s1", f"REPORT RequestId: {R1}\tDuration: 900000.00 ms\n")]
    timed_out = [("s1", f"2026-11-24T12:00:00.000Z {R1} Task timed out after 900.10 seconds\n\n")]
    _, found = read(named(A) + named(B) + ends + timed_out)
    assert messages(found) == {A: [None], B: ["Task timed out after 900.10 seconds"]}
    _, found = read([*named(A), ("s1", f"RequestId: {R1} Error: Runtime exited with error: signal: killed")])
    assert messages(found) == {A: ["Runtime exited with error: signal: killed"]}


def test_the_end_is_the_last_event_that_names_the_batch() -> None:
    reader, _ = read([*named(A), *named(B), *error("x"), *named(FOREIGN)])
    assert reader.last_named == 4
    reader, _ = read([("s1", line("INFO", 0, R1, "Decoded batch: plcx")), *named(FOREIGN)])
    assert reader.last_named is None


def test_a_message_is_one_line_of_bounded_length_without_control_characters() -> None:
    _, found = read(named(A) + error("Exception: a\x1b[31mb\u202e\nTraceback\n" + "y" * 5000))
    assert messages(found) == {A: ["a [31mb"]}
    _, found = read(named(A) + error("z" * 5000))
    assert messages(found) == {A: ["z" * lambda_log.MAX_MESSAGE_LENGTH]}


def test_requests_that_are_forgotten_get_no_message_that_is_not_theirs() -> None:
    many = [event for number in range(lambda_log.MAX_OPEN_REQUESTS) for event in named(B, f"{number:036}", "s2")]
    reader, found = read(named(A) + many + error("late"))
    assert messages(found)[A] == [None]
    assert reader.unmatched == 1


def test_lines_of_any_other_kind_are_passed_over() -> None:
    odd = [
        "",
        "\t",
        "\t\t\t",
        "START RequestId: x",
        "[ERROR]",
        "[INFO]\tx",
        "[ERROR]\ta\tb\t",
        "{",
        "[1]",
        '{"a": 1}',
        "null",
    ]
    reader, found = read([("s1", text) for text in odd])
    assert found == {}
    assert reader.last_named is None
    assert (reader.events, reader.not_understood, reader.example) == (11, 5, "START RequestId: x")
