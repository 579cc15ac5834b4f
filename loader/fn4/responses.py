"""What each answer of a findNeighbour4 server to an insert means (domain.md 2, traps.md)."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from enum import Enum

from core.formatting import printable
from objectstores.answers import from_json as parsed_json

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
                is_text = isinstance(parsed_json(self.body), str)
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
        """The answer as one line without markup, sequence and composition (promise 10), at most 300 characters."""
        if self.error:
            return one_line(self.error)
        return f"HTTP {self.status}: {_safe_words(self.body.decode('utf-8', 'replace')) or 'no text'}"


# The server's own sentences (findn/NucleicAcid.py, findn/cw_seqComparer.py of findNeighbour4): another length than the
# reference, letters that it does not know, an empty sequence. Other words of a 500 never mean that a file is bad.
WRONG_LENGTH = re.compile(r"sequence must (?:be )?of the same length as reference")
BAD_LETTERS = re.compile(r"nucleicAcidString must be of type str, and consist only of ACGTN-")
EMPTY_SEQUENCE = re.compile(r"nucleicAcidString must be of type str, and of non-zero length")
BAD_SEQUENCE = re.compile("|".join(sentence.pattern for sentence in (WRONG_LENGTH, BAD_LETTERS, EMPTY_SEQUENCE)))
UNACCEPTABLE_ID = re.compile(r"Supplied sample identifier is unacceptable")

MAX_WORDS = 280
"""In characters."""
MAX_ESCAPES = 3
"""How often a text may have been escaped, in HTML or JSON."""
# None looks beyond the next tag of its kind: a text of nothing but "<" takes no longer than another one.
_TITLES = re.compile(r"(?is)<(title|h1)>(?:(?!<(?:title|h1)>).)*?</\1>")
_TAGS = re.compile(r"<[/!a-zA-Z][^<>]*>")
_SEQUENCE = re.compile(r"(?i)[ACGTUNRYSWKMBDHV*.?-]{20,}|[A-Za-z*-]{60,}")
_LINE_ENDS = re.compile(r"(?<!\\)\\+[nrt]")
# A sample's composition: letters with positions or counts. A 503 appends it in the notation of Python; a proxy or another
# version may cut it, nest it, or escape it. Everything from its first sign on is dropped.
_COMPOSITION = re.compile(
    r"""[{\[]|[\d\s,'"]{0,40}[}\]]|\b(?:set|dict|Counter|defaultdict|OrderedDict)\(|\b\d+\s*,\s*\d+\s*,|\b\d+,\s+\d+\b"""
    r"""|['"][ACGTUNM-]\\*['"]|\b[ACGTUNM]\s*[:=]\s*[\d(]""",
    re.IGNORECASE,
)


def _safe_words(text: str) -> str:
    """The server's words as one line; from the first sign of a composition on, nothing."""
    words = _TITLES.sub(" ", text)
    for _ in range(MAX_ESCAPES):
        words = html.unescape(_TAGS.sub(" ", _from_json(words)))
    words = " ".join(_LINE_ENDS.sub(" ", words).split())
    if begins := _COMPOSITION.search(words):
        words = words[: begins.start()].rstrip(" \\\"'") + " […]"
    return one_line(words)


def one_line(words: str) -> str:
    """Words from outside without sequence and control characters, at most 280 of them."""
    return _SEQUENCE.sub("[…]", printable(words))[:MAX_WORDS].strip()


def _from_json(text: str) -> str:
    """The text in a JSON string, or the message of a JSON object."""
    try:
        data = parsed_json(text)
    except ValueError:
        return text
    if isinstance(data, dict):
        data = next((data[key] for key in ("error", "message", "detail") if isinstance(data.get(key), str)), text)
    return data if isinstance(data, str) else text


def blames_server(text: str) -> bool:
    """Whether a refusal in these words may mean that the server is the wrong one: its reference has another length.

    Letters and ids that our own check let pass are the file's fault, whatever the server.
    """
    return bool(WRONG_LENGTH.search(text))


class ServerUnavailable(Exception):
    """The server or its database is not working: retry later."""


class ServerMisconfigured(Exception):
    """Something that is not a findNeighbour4 server answers: a proxy, a login page, another path. A person must fix it."""
