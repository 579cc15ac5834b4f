"""The ingest log in each spelling that Lambda and logging libraries use, with and without tracebacks."""

from __future__ import annotations

import json

import pytest

from batches.ingest_log import log_line
from batches.ingest_log.log_line import MAX_JSON_LENGTH, LineKind, parse_line, split_exception
from sandbox.lambdalog import SPELLINGS, TRACES, line, lines_of, platform_lines, spell_exception
from tests.batches.ingest_log.test_lambda_log import R1, R2, A, B, C, messages, read

ERROR = "HTTPError: 409 Client Error:  for url: https://core.example.org/x"
FRAMES = ['  File "/var/task/app.py", line 3, in handler', "    ingest(record)", "    ~~~~~~^^^^^^^^"]
TRACE = ["Traceback (most recent call last):", *FRAMES]


def in_request(spelling: str, trace: str, request: str, *tried: tuple[str, str]) -> list[tuple[str, str]]:
    """The events of one request: keys, each with its error or none."""
    start, end = platform_lines(request, spelling)
    events = [start]
    for key, error in tried:
        events += lines_of(key, 0, request, spelling)
        events += spell_exception(spelling, 0, request, error, trace) if error else []
    return [("s1", event) for event in [*events, end]]


@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_messages_are_on_their_records_in_every_spelling(spelling: str, trace: str) -> None:
    tried = [(A, "KeyError: at first"), (B, ""), (A, ERROR), (C, "ValueError: of c")]
    reader, found = read(in_request(spelling, trace, R1, *tried[:2]) + in_request(spelling, trace, R2, *tried[2:]))
    assert messages(found) == {A: ["KeyError: at first", ERROR], B: [None], C: ["ValueError: of c"]}
    assert (reader.not_understood, reader.unmatched) == (0, 0), reader.example
    details = [one.detail for one in [*found[A], *found[C]]]
    assert [bool(detail) for detail in details] == [trace != "none"] * 3
    assert all("/var/task/ingest.py" in detail for detail in details if detail)
    assert reader.last_named == max(one.at for key in found for one in found[key]) + 1


@pytest.mark.parametrize("spelling", ["basic", "bare"])
def test_without_any_request_a_message_is_a_candidate(spelling: str) -> None:
    events = in_request(spelling, "several events", R1, (A, ERROR), (B, ""))[1:-1]
    reader, found = read(events)
    assert messages(found) == {A: [None], B: [None]}
    assert [one.candidate for key in (A, B) for one in found[key]] == [ERROR, None]
    assert reader.unmatched == 1


@pytest.mark.parametrize(
    "text",
    [
        f"2023-10-16T15:07:18.868Z\t{R1}\tERROR\t{ERROR}",
        f"[ERROR] 2023-10-16T15:07:18.868Z {R1} {ERROR}",
        f"2023-10-16 15:07:18,868 ERROR RequestId: {R1} - {ERROR}",
        f"2023-10-16 15:07:18.868 | ERROR    | app:handler:41 - {ERROR}",
        f"2023-10-16 15:07:18 [error    ] {ERROR}",
        f"ERROR:root:{ERROR}",
        f"ERROR: {ERROR}",
        f"CRITICAL - {ERROR}",
        f'time="2023-10-16T15:07:18Z" level=error msg="{ERROR}" request_id={R1}',
        json.dumps({"level": "error", "msg": ERROR, "awsRequestId": R1}),
        json.dumps({"severity": "CRITICAL", "message": {"reason": ERROR}, "requestId": R1}),
        json.dumps({"timestamp": "x", "log_level": "ERROR", "errorType": "HTTPError", "errorMessage": ERROR[11:]}),
        line("ERROR", 0, R1, json.dumps({"level": "ERROR", "message": ERROR})),
        line("INFO", 0, R1, "\n".join(["it failed", *TRACE, ERROR])),
        ERROR,
        "\n".join([*TRACE, ERROR, ""]),
        "\r".join([f"[ERROR] {ERROR}", *TRACE]),
        f"2023-10-16T15:07:18.868Z {R1} {ERROR}",
    ],
)
def test_an_exception_is_known_however_it_is_wrapped(text: str) -> None:
    _, found = read(
        [("s1", f"START RequestId: {R1} Version: 7"), ("s1", line("INFO", 0, R1, "Object key: " + A)), ("s1", text)]
    )
    ((one,),) = found.values()
    assert (one.message or "").removeprefix("reason: ") == ERROR


@pytest.mark.parametrize(
    "text",
    [
        f"2023-10-16 15:07:15,238 - ingest.app - INFO - Object key: {A}",
        f"INFO:root:Object key: {A}",
        f"2023-10-16 15:07:15.238 | INFO     | app:handler:41 - Object key: {A}",
        f"my-app> Object key: {A}",
        f"Object key: {A}",
        f"  Object key: {A}",
        json.dumps({"message": f"Object key: {A}"}),
        json.dumps({"message": {"Object key": A}}),
        f"first\nObject key: {A}\nDecoded batch: plc\n",
        json.dumps({"message": "first"}) + "\n" + json.dumps({"message": f"Object key: {A}"}),
    ],
)
def test_a_key_is_known_however_it_is_wrapped(text: str) -> None:
    _, found = read([("s1", text)])
    assert messages(found) == {A: [None]}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*TRACE, "KeyError: 'x'"], "KeyError: 'x'"),
        (
            [
                *TRACE,
                "KeyError: 'x'",
                "",
                "During handling of the above exception, another exception occurred:",
                "",
                *TRACE,
                ERROR,
            ],
            ERROR,
        ),
        (["it failed", *TRACE, ERROR, "and its second line"], ERROR),
        ([f"[ERROR] {ERROR}", *TRACE], ERROR),
        ([*TRACE[:-1]], "ingest(record)"),
        ([*TRACE, "Exception: 409"], "409"),
        (["java.lang.RuntimeException: no", "\tat org.example.App"], "java.lang.RuntimeException: no"),
        ([""], ""),
    ],
)
def test_the_message_of_a_traceback_is_the_line_of_its_last_exception(lines: list[str], message: str) -> None:
    for end in ("\n", "\r\n", "\r"):
        assert split_exception(end.join(lines))[0] == message
    assert (split_exception("\n".join(lines))[1] is None) == (len(lines) == 1)


def test_a_traceback_over_several_events_ends_with_the_next_line_of_its_stream() -> None:
    other = [("s2", text) for text in (*lines_of(B, 0, R2), *spell_exception("text", 0, R2, "ValueError: of b"))]
    events = [("s1", text) for text in (*lines_of(A, 0, R1), line("ERROR", 0, R1, "it failed"), *TRACE, ERROR)]
    mixed = [event for both in zip(events, [*other, *[("s2", "")] * len(events)], strict=False) for event in both]
    for following in ([], [("s1", text) for text in lines_of(C, 0, R1)]):
        reader, found = read(mixed + following)
        assert (messages(found)[A], messages(found)[B]) == ([ERROR], ["ValueError: of b"])
        assert reader.not_understood == 0
        assert found[A][0].detail
        assert "/var/task/app.py" in str(found[A][0].detail)


def test_a_traceback_whose_lines_all_have_a_prefix_is_one_exception() -> None:
    prefixed = [line("ERROR", 0, R1, text) for text in ["it failed", *TRACE, ERROR]]
    _, found = read([("s1", text) for text in (*lines_of(A, 0, R1), *prefixed, *lines_of(B, 0, R1))])
    assert messages(found) == {A: [ERROR], B: [None]}


def test_a_traceback_is_bounded() -> None:
    events = [line("ERROR", 0, R1, TRACE[0]), *[f"  frame {number} " + "x" * 100 for number in range(10_000)], ERROR]
    _, found = read([("s1", text) for text in (*lines_of(A, 0, R1), *events)])
    assert len(found[A][0].detail or "") <= log_line.MAX_DETAIL_LENGTH


def test_the_platforms_own_json_tells_time_outs_and_crashes() -> None:
    report = {
        "type": "platform.report",
        "record": {"requestId": R1, "status": "timeout", "metrics": {"durationMs": 900_100}},
    }
    _, found = read([("s1", text) for text in (*lines_of(A, 0, R1, "json"), json.dumps(report))])
    assert messages(found) == {A: ["Task timed out after 900.10 seconds"]}
    report = {
        "type": "platform.report",
        "record": {"requestId": R1, "status": "error", "errorType": "Runtime.ExitError"},
    }
    _, found = read([("s1", text) for text in (*lines_of(A, 0, R1, "json"), json.dumps(report))])
    assert messages(found) == {A: ["Runtime.ExitError"]}


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "2023-10-16 15:07:15 hello",
        '{"a": 1}',
        "{broken",
        "[1, 2]",
        "  indented",
        "a=1 b=2",
        "\x00",
        "x" * 100_000,
    ],
)
def test_what_is_not_understood_is_counted(text: str) -> None:
    assert parse_line(text) is None
    reader, _ = read([("s1", text)])
    assert (reader.events, reader.not_understood) == (1, 1)
    assert reader.example.isprintable()


@pytest.mark.parametrize(
    "text", ["INIT_START Runtime Version: python:3.12", "REPORT RequestId: x Duration: 1", "EXTENSION\tName: x"]
)
def test_lines_of_the_platform_are_understood(text: str) -> None:
    line = parse_line(text)
    assert line
    assert line.kind is LineKind.OTHER


@pytest.mark.parametrize(
    "letters", ["<", "[", "[ ", ":", "a:", "ERROR ", 'a="', "\\"], ids=lambda letters: letters.encode().hex()
)
def test_a_long_line_is_read_once_whatever_it_repeats(letters: str) -> None:
    # Half an hour for a line of a megabyte, if each letter led to another look at the rest.
    found = parse_line((letters * MAX_JSON_LENGTH)[:MAX_JSON_LENGTH])
    assert found is None or found.kind in {LineKind.OTHER, LineKind.ERROR}


@pytest.mark.parametrize("prefix", ["[ error ] ", "[error] ", "2026-01-31 [ Error ] "])
def test_a_level_in_brackets_is_one_in_any_case(prefix: str) -> None:
    found = parse_line(prefix + "it failed")
    assert found is not None
    assert (found.kind, found.text.strip()) == (LineKind.ERROR, "it failed")
