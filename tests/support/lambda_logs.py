"""Logs of an ingest, built in code: many requests at a time in many streams, and what must come of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sandbox.lambdalog import line, lines_of

NO_SUCH_KEY = "Exception: An error occurred (NoSuchKey) when calling the GetObject operation"


@dataclass
class BuiltLog:
    """Events as they happened, and what is true of each key."""

    events: list[tuple[str, int, str]] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)
    """The last exception of each key that failed."""
    tries: dict[str, int] = field(default_factory=dict)
    last: int = 0
    """When a key was named last, in milliseconds."""


def build(
    keys: Sequence[str],
    failing: set[str],
    *,
    start: int,
    streams: int = 40,
    seed: int = 1,
    others: Sequence[str] = (),
) -> BuiltLog:
    """Requests of 1 to 20 objects; one with a failure is tried three times, in any stream, about a minute apart.

    When an event comes again, what was ingested at first is gone: that is the noise. `others`: keys of other batches, among
    the own ones in the same requests.
    """
    chance, log = random.Random(seed), BuiltLog()
    mixed = [*keys, *others]
    # In the order of the keys but for the others, so that failures that follow each other share a request.
    for other in others:
        mixed.remove(other)
        mixed.insert(chance.randrange(len(mixed) + 1), other)
    own, at = set(keys), start
    names = [f"2026/11/24/[$LATEST]{number:032x}" for number in range(streams)]
    while mixed:
        size = chance.randint(1, 20)
        some, mixed = mixed[:size], mixed[size:]
        request = f"{chance.getrandbits(32):08x}-0000-4000-8000-{chance.getrandbits(48):012x}"
        at += chance.randint(0, 9)
        for attempt in range(3 if failing & set(some) else 1):
            stream, when = chance.choice(names), at + attempt * chance.randint(50_000, 70_000)
            _request(log, some, failing, own, chance, stream, when, request, attempt)
    chance.shuffle(log.events)
    log.events.sort(key=lambda event: event[1])
    return log


def _request(
    log: BuiltLog,
    some: Sequence[str],
    failing: set[str],
    own: set[str],
    chance: random.Random,
    stream: str,
    when: int,
    request: str,
    attempt: int,
) -> None:
    for number, key in enumerate(some):
        when += chance.randint(1, 5)
        log.events += [(stream, when + at, said) for at, said in enumerate(lines_of(key, when, request))]
        log.last = max(log.last, when + 1) if key in own else log.last
        when += 3
        for text in _said(key, key in failing, number, attempt):
            when += 1
            log.events.append((stream, when, line("ERROR", when, request, text)))
            if key in own and key in failing:
                log.messages[key] = text.removeprefix("Exception: ")
        if key in own:
            log.tries[key] = log.tries.get(key, 0) + (attempt == 0 or key in failing)


def _said(key: str, fails: bool, number: int, attempt: int) -> Iterator[str]:
    if fails:
        yield f"Exception: 409 Client Error: number {number} of try {attempt} of {key}"
    elif attempt:
        yield NO_SUCH_KEY
