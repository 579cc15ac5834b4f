"""Properties of the ingest log: lines in any order, of any spelling, among any others, on pages in any order."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from batches.ingest_log.events import EventStore, LogEvent
from batches.ingest_log.lambda_log import IngestTry
from batches.ingest_log.log_line import parse_line, split_exception
from batches.keys import encode
from sandbox.lambdalog import SPELLINGS, TRACES, line, lines_of, platform_lines, spell_exception
from tests.batches.ingest_log.test_lambda_log import read

STREAMS = ("s1", "s2", "s3")
REQUESTS = [f"{number:08x}-5004-597f-9921-ca8003e72416" for number in range(4)]
IDENTIFIERS = ("a", "b", "ü|c", "d.1")
KEYS = [encode("plc", "/p", identifier, "CREATE") for identifier in IDENTIFIERS] + [encode("plcx", "/p", "a", "CREATE")]

requests = st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), min_size=1, max_size=4)
spelled = st.tuples(requests, st.sampled_from(SPELLINGS), st.sampled_from(TRACES))
texts = st.text(max_size=80) | st.sampled_from(
    ["", "\t", "[ERROR]", "{", "Traceback (most recent call last):", "  File", "x=1"]
)
noise = st.one_of(
    texts,
    st.builds(lambda text: line("INFO", 0, REQUESTS[0], text), st.sampled_from(["hello", "Decoded batch: other"])),
)


def messages(found: dict[str, list[IngestTry]]) -> dict[str, list[str]]:
    return {key: sorted(one.message or "" for one in tries) for key, tries in found.items()}


@given(streams=st.lists(st.lists(spelled, max_size=3), min_size=1, max_size=3), data=st.data())
def test_a_message_is_on_its_record_however_streams_are_mixed_and_spelled(
    streams: list[list[tuple[list[tuple[str, bool]], str, str]]], data: st.DataObject
) -> None:
    queues: dict[str, list[str]] = {}
    truth: dict[str, list[str]] = {}
    for stream, parts in zip(STREAMS, streams, strict=False):
        queues[stream] = []
        for number, (tried, spelling, trace) in enumerate(parts):
            request = REQUESTS[number]
            start, end = platform_lines(request, spelling)
            events = [start]
            for place, (key, fails) in enumerate(tried):
                # Unique, so that each other record's message would be seen.
                error = f"HTTPError: 409 of {stream}, request {number}, object {place}"
                events += lines_of(key, 0, request, spelling)
                events += spell_exception(spelling, 0, request, error, trace) if fails else []
                if key in KEYS[:-1]:
                    truth.setdefault(key, []).append(error if fails else "")
            queues[stream] += [*events, end]
    mixed = []
    while any(queues.values()):
        stream = data.draw(st.sampled_from([name for name, queue in queues.items() if queue]))
        mixed += [(stream, queues[stream].pop(0)) for _ in range(data.draw(st.integers(1, 5))) if queues[stream]]
    reader, found = read(mixed)
    assert messages(found) == {key: sorted(errors) for key, errors in truth.items()}
    assert (reader.not_understood, reader.unmatched) == (0, 0)


known = st.one_of(
    st.tuples(st.just("key"), st.sampled_from(STREAMS), st.sampled_from(REQUESTS), st.sampled_from(KEYS)),
    st.tuples(
        st.just("error"), st.sampled_from(STREAMS), st.sampled_from(REQUESTS), st.sampled_from(["409", "NoSuchKey"])
    ),
)


@given(st.lists(known, max_size=40))
def test_in_any_order_an_exception_is_of_the_last_key_before_it_in_its_stream_and_request(
    lines: list[tuple[str, str, str, str]],
) -> None:
    events, truth, current = [], {}, {}
    for number, (kind, stream, request, text) in enumerate(lines):
        if kind == "key":
            events.append((stream, line("INFO", 0, request, f"Object key: {text}")))
            current[stream, request] = (text, number)
            if text in KEYS[:-1]:
                truth[text, number] = ""
        else:
            error = f"{text} number {number}"
            events.append((stream, line("ERROR", 0, request, error)))
            owner = current.get((stream, request))
            if owner in truth and text == "409":
                truth[owner] = error
    _, found = read(events)
    assert {(key, one.at): one.message or "" for key, tries in found.items() for one in tries} == truth


@given(
    st.lists(st.tuples(st.sampled_from(STREAMS), st.one_of(noise, st.sampled_from(KEYS).map("Object key: {}".format))))
)
def test_lines_of_any_kind_do_no_harm(events: list[tuple[str, str]]) -> None:
    reader, found = read(events)
    assert set(found) <= set(KEYS[:-1])
    assert reader.not_understood <= reader.events == len(events)
    for tries in found.values():
        for one in tries:
            for text in (one.message, one.candidate, one.detail):
                assert text is None or text.replace("\n", "").isprintable() or not text


@given(texts)
def test_any_text_is_parsed_or_not_understood(text: str) -> None:
    parse_line(text)
    message, detail = split_exception(text)
    assert "\n" not in message
    assert message.isprintable()
    assert (detail or "").replace("\n", "").isprintable()


@given(
    times=st.lists(st.integers(0, 5), max_size=30),
    size=st.integers(1, 7),
    data=st.data(),
)
def test_pages_in_any_order_and_repeated_are_read_in_order_and_once(
    times: Sequence[int], size: int, data: st.DataObject
) -> None:
    events = [LogEvent("s", at, f"m{n}", f"{at:03}{n:05}") for n, at in enumerate(sorted(times))]
    pages = [events[at : at + size] for at in range(0, len(events), size)]
    given_pages = data.draw(st.permutations(pages)) if data.draw(st.booleans()) else pages
    # A page that comes again directly, as after a call that was repeated.
    given_pages = [page for page in given_pages for _ in range(data.draw(st.integers(1, 2)))]
    with EventStore() as store:
        new = sum(store.add(page) for page in given_pages)
        found = list(store.in_order())
    assert new == len(events)
    assert [event.timestamp for event in found] == sorted(times)
    assert {event.message for event in found} == {event.message for event in events}
    if given_pages == pages:
        assert [event.message for event in found] == [event.message for event in events]
