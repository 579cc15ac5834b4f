"""What each answer of a findNeighbour4 server to an insert means (domain.md 2, traps.md)."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from enum import Enum

IN_SERVER = (200, 201)
"""Statuses of an insert that mean: the server holds the sample."""
READ_SECONDS = 180.0
"""Time-out of the answer to an insert."""


class ResponseKind(Enum):
    """What an answer means."""

    DONE = "the sample is in the server"
    LOCKED = "another insert holds the lock: retry soon"
    NEVER = "this file can't be loaded as it is"
    MISCONFIGURED = "a proxy or a setting is wrong, not the sample"
    LATER = "retry later"
    UNCLEAR = "the server may still be working on it"


@dataclass(frozen=True, slots=True)
class InsertResponse:
    """The answer to an insert; status 0 if there was none."""

    status: int
    body: bytes = b""
    error: str = ""

    @property
    def kind(self) -> ResponseKind:
        """What it means, before the server was asked whether the sample exists."""
        if self.status in IN_SERVER:
            try:
                is_text = isinstance(json.loads(self.body), str)
            except ValueError:
                is_text = False
            return ResponseKind.DONE if is_text else ResponseKind.MISCONFIGURED
        if self.status == 409:
            return ResponseKind.LOCKED
        if self.status in (0, 502, 504):
            return ResponseKind.UNCLEAR
        if self.status == 403 and UNACCEPTABLE_ID.search(self.text):
            return ResponseKind.NEVER
        if 300 <= self.status < 400 or self.status in (400, 401, 403, 404, 413, 501):
            return ResponseKind.MISCONFIGURED
        if self.status == 500 and BAD_SEQUENCE.search(self.text):
            return ResponseKind.NEVER
        return ResponseKind.LATER

    @property
    def text(self) -> str:
        """The answer without markup and without sequence (promise 10), at most 300 characters."""
        if self.error:
            return self.error
        page = re.sub(r"(?is)<(title|h1)>.*?</\1>", " ", self.body.decode("utf-8", "replace"))
        words = html.unescape(re.sub(r"<[^>]*>", " ", page))
        words = re.sub(r"[A-Za-z*-]{60,}", "[…]", " ".join(words.split()))
        # A 503 appends the sample's differences from the reference, with their positions.
        words = re.sub(r"\{.*", "[…]", words) if self.status >= 500 else words
        return f"HTTP {self.status}: {words[:280] or 'no text'}"


# The server's own words: another length than the reference, no sequence, or unknown letters.
BAD_SEQUENCE = re.compile(r"\b(length|invalid characters?|consist only of|empty)\b", re.IGNORECASE)
FAULT_OF_THE_FILE = re.compile(r"invalid characters?|consist only of|empty|non-zero length|identifier", re.IGNORECASE)
UNACCEPTABLE_ID = re.compile(r"identifier is unacceptable", re.IGNORECASE)


def blames_server(text: str) -> bool:
    """Whether a refusal in these words may mean that the server is the wrong one: its reference has another length.

    Letters and ids that our own check let pass are the file's fault, whatever the server.
    """
    return not FAULT_OF_THE_FILE.search(text)


class ServerUnavailable(Exception):
    """The server or its database is not working: retry later."""


class ServerMisconfigured(Exception):
    """Something that is not a findNeighbour4 server answers: a proxy, a login page, another path. A person must fix it."""
