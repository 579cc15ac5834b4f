"""Answers of findNeighbour4 to an insert: a meaning, and one line without sequence and composition."""

from __future__ import annotations

from loader.fn4.responses import InsertResponse, ResponseKind
from tests.fuzz.rules import ensure_no_sequence, ensure_sentence

STATUSES = (0, 200, 201, 302, 403, 409, 413, 500, 503)


def check(data: bytes) -> None:
    response = InsertResponse(STATUSES[len(data) % len(STATUSES)], data)
    assert isinstance(response.kind, ResponseKind)
    text = response.text
    assert len(text) <= 300
    ensure_sentence(text)
    ensure_no_sequence(text)
