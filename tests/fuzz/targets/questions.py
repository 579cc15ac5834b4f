"""Answers of findNeighbour4 to questions: facts of the right kind, or an error that says what is wrong with the server."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from loader.fn4.client import FindNeighbour4
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from tests.fuzz.rules import ensure_no_sequence, ensure_sentence

MAX_INTEGER = 2**63
T = TypeVar("T")


class Answers(HTTPAdapter):
    """A network on which every question has the same answer."""

    status, body = 200, b""

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:  # type: ignore[override]
        raw = HTTPResponse(io.BytesIO(self.body), status=self.status, preload_content=False)
        return self.build_response(request, raw)


ANSWERS = Answers()
CLIENT = FindNeighbour4("http://fn4.example.org")
CLIENT._session.mount("http://", ANSWERS)


def check(data: bytes) -> None:
    ANSWERS.body = data
    # Mostly answers that are read as such.
    ANSWERS.status = (200, 200, 200, 404, 503)[len(data) % 5]
    exists = _asked(lambda: CLIENT.exists("s1"))
    assert exists is None or isinstance(exists, bool)
    for guids in (_asked(lambda: list(islice(CLIENT.guids(), 1000))), _asked(lambda: CLIENT.neighbours("s1", 5))):
        assert all(isinstance(guid, str) for guid in guids or [])
    for number in (
        _asked(CLIENT.snp_ceiling),
        _asked(lambda: CLIENT.distance("s1", "s2")),
        _asked(lambda: CLIENT.mirror(9)),
    ):
        assert number is None or type(number) is int
    assert len(_asked(CLIENT.name) or "") <= 200
    if stored := _asked(lambda: CLIENT.annotation("s1")):
        assert len(stored.md5) in (0, 32)
        assert stored.invalid in (None, False, True)
    if engine := _asked(CLIENT.engine):
        assert len(engine.version) <= 200
        numbers = (
            engine.reference_length,
            engine.max_unknown,
            engine.samples,
            engine.memory_used,
            engine.memory_total,
        )
        assert all(number is None or 0 <= number < MAX_INTEGER for number in numbers)


def _asked(question: Callable[[], T]) -> T | None:
    """The answer; None if it is an error."""
    try:
        return question()
    except (ServerUnavailable, ServerMisconfigured) as error:
        ensure_sentence(str(error))
        ensure_no_sequence(str(error))
        return None
