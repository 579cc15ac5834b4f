"""Events of the ingest log, which an empty line separates: tries of objects of the batch, and messages that can be stored."""

from __future__ import annotations

from batches.ingest_log.cloudwatch import _text
from batches.ingest_log.events import EventStore, LogEvent
from batches.ingest_log.lambda_log import LambdaLogParser
from batches.ingest_log.log_line import MAX_DETAIL_LENGTH, MAX_MESSAGE_LENGTH, parse_line
from batches.ingest_log.tries import TryStore
from batches.keys import KeyMatcher
from core.stored_text import storable
from tests.fuzz.rules import ensure_line

BATCH = "jlog"
MATCHER = KeyMatcher(BATCH)
MAX_CANDIDATE = MAX_MESSAGE_LENGTH


def check(data: bytes) -> None:
    # JSON may hold half of a pair of surrogates: `_text` is what an event passes first.
    messages = [_text(text) for text in data.decode(errors="surrogateescape").split("\n\n")]
    parser = LambdaLogParser(BATCH, lambda key: MATCHER.classify(key) == "own")
    with EventStore() as events, TryStore() as tries:
        events.add([LogEvent(f"stream {number % 2}", number, text) for number, text in enumerate(messages)])
        for event in events.in_order():
            parse_line(event.message)
            parser.feed(*event[:3])
        parser.end()
        finished = parser.pop_finished()
        tries.add(finished)
        for item in (item for group in tries.groups(100) for item in group):
            for text in filter(None, (item.message, item.candidate)):
                ensure_line(text)
                assert len(text) <= MAX_MESSAGE_LENGTH
            if item.detail:
                assert len(item.detail) <= MAX_DETAIL_LENGTH
                assert storable(item.detail) == item.detail
                assert all(line.isprintable() for line in item.detail.split("\n"))
    assert all(MATCHER.classify(one.key) == "own" for one in finished)
    assert parser.events == len(messages)
    ensure_line(parser.example)
