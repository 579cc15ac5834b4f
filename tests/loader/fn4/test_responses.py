"""What each answer to an insert means, row by row of domain.md 2 and traps.md."""

from __future__ import annotations

import html
import http.client
import json
import socket

import pytest

from loader.fn4.responses import InsertResponse, ResponseKind, blames_server
from objectstores.answers import read_answer
from objectstores.wire import Wire

LETTERS = (
    b"<title>500 Internal Server Error</title><p>nucleicAcidString must be of type str, and consist only of ACGTN-.  "
    b"There are 3 invalid characters</p>"
)
PAGE = b"<html><title>500 Internal Server Error</title><p>%s</p></html>"


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, b'"Guid s1 inserted."', ResponseKind.DONE),
        (201, b'"Guid s1 is already present"', ResponseKind.DONE),
        (200, b"<html>Please log in</html>", ResponseKind.MISCONFIGURED),
        (201, b"{}", ResponseKind.MISCONFIGURED),
        (409, b'"locked"', ResponseKind.LOCKED),
        *[(status, b"", ResponseKind.MISCONFIGURED) for status in (301, 302, 307, 308, 400, 401, 403, 404, 413, 501)],
        (
            500,
            PAGE % b"sequence must of the same length as reference; seq is 29902 and ref is 29903",
            ResponseKind.NEVER,
        ),
        (500, PAGE % b"nucleicAcidString must be of type str, and of non-zero length", ResponseKind.NEVER),
        (403, b'"Supplied sample identifier is unacceptable."', ResponseKind.NEVER),
        (500, LETTERS, ResponseKind.NEVER),
        (500, PAGE % b"the list of distances is empty", ResponseKind.LATER),
        (500, PAGE % b"invalid length of the connection pool; invalid characters", ResponseKind.LATER),
        (500, PAGE % b"non-zero length", ResponseKind.LATER),
        (503, LETTERS, ResponseKind.LATER),
        (403, b'"identifier is unacceptable"', ResponseKind.MISCONFIGURED),
        (500, PAGE % b"could not connect to the database", ResponseKind.LATER),
        (503, b"", ResponseKind.LATER),
        (429, b"", ResponseKind.LATER),
        (502, b"Bad Gateway", ResponseKind.UNCLEAR),
        (504, b"", ResponseKind.UNCLEAR),
        (0, b"", ResponseKind.UNCLEAR),
    ],
)
def test_the_meaning_of_an_answer(status: int, body: bytes, meaning: ResponseKind) -> None:
    assert InsertResponse(status, body).kind is meaning


def test_the_text_of_an_answer_has_no_markup_and_no_sequence() -> None:
    text = InsertResponse(500, PAGE % (b"bad: " + b"ACGT" * 1000 + b" &amp; more")).text
    assert text == "HTTP 500: bad: […] & more"


COMPOSITION = "{'A': [11223, 2455], 'C': {38811}, 'DNAQuality': {'N': [40001, 40002, 40003], 'mixed': 77123}}"
QUOTED = COMPOSITION.replace("'", '"')


@pytest.mark.parametrize("status", [500, 503, 403, 200])
@pytest.mark.parametrize(
    "words",
    [
        COMPOSITION,
        QUOTED,
        json.dumps(QUOTED),
        json.dumps(json.dumps(QUOTED)),
        html.escape(COMPOSITION),
        html.escape(html.escape(QUOTED)),
        COMPOSITION.replace("{", "&#123;").replace("[", "&#x5b;").replace("'", "&quot;"),
        COMPOSITION[COMPOSITION.index("2455") :],
        COMPOSITION[COMPOSITION.index("40002") :],
        COMPOSITION[:30],
        "defaultdict(<class 'list'>, " + COMPOSITION,
        "A: 11223, 2455, C: 38811",
        "A=11223,2455,40001",
        "'A' at 11223 and 2455",
        "{'N':\n  [11223,\n  2455]}",
    ],
)
def test_a_composition_in_an_answer_is_never_kept(status: int, words: str) -> None:
    for body in (f"Error raised on persisting s1: {words}", f"<p>Error raised on persisting s1: {words}</p>"):
        for sent in (body, json.dumps(body)):
            text = InsertResponse(status, sent.encode()).text
            assert text == f"HTTP {status}: Error raised on persisting s1: […]", text


@pytest.mark.parametrize(
    "letters", ["\\\\", "<", "<a", "<title>", "<title", "0'", "' ", "0 ,"], ids=lambda letters: letters.encode().hex()
)
def test_a_long_answer_is_read_once_whatever_it_repeats(letters: str) -> None:
    # Hours, if each letter led to another look at the rest.
    assert len(InsertResponse(503, (letters * 256_000)[:256_000].encode()).text) <= len("HTTP 503: ") + 280


def test_line_ends_in_an_answer_are_spaces() -> None:
    locked = "A lock is in place.\n   This may arise because\r\n(i) a separate process is inserting"
    shown = "HTTP 409: A lock is in place. This may arise because (i) a separate process is inserting"
    assert InsertResponse(409, json.dumps(locked).encode()).text == shown
    assert InsertResponse(409, json.dumps(locked).encode()[:-1]).text == shown.replace(": A", ': "A'), "cut off"


@pytest.mark.parametrize(
    ("text", "blames"),
    [
        ("sequence must of the same length as reference; seq is 29902 and ref is 29903", True),
        ("nucleicAcidString must be of type str, and of non-zero length", False),
        ("nucleicAcidString must be of type str, and consist only of ACGTN-.  There are 3 invalid characters", False),
        ("Supplied sample identifier is unacceptable", False),
    ],
)
def test_only_the_length_speaks_against_the_server(text: str, *, blames: bool) -> None:
    assert blames_server(f"HTTP 500: {text}") is blames


WHOLE = b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\ncontent-length: 4\r\nConnection: close\r\n\r\n"in"'


def read_by_library(wire: socket.socket, _method: str, *, limit: int) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(wire)
    response.begin()
    return response.status, response.read(limit)


def read_by_us(wire: socket.socket, method: str, *, limit: int) -> tuple[int, bytes]:
    answer, _ = read_answer(Wire(wire), method, limit=limit)
    return answer.status, answer.body


@pytest.mark.parametrize(
    "came",
    [
        WHOLE,
        WHOLE.replace(b"HTTP/1.1 200 OK", b"HTTP/1.0 409"),
        WHOLE.replace(b"4\r\n", b"4 \t\r\n"),
        WHOLE.replace(b'"in"', b"a\r\nb"),
        WHOLE.replace(b"4\r\n", b"0\r\n").replace(b'"in"', b""),
        WHOLE.replace(b"4\r\n", b"80\r\n").replace(b'"in"', b"x" * 80),
        b"",
        *[WHOLE[:end] for end in range(1, len(WHOLE))],
        WHOLE + b"x",
        WHOLE.replace(b"content-length: 4\r\n", b""),
        WHOLE.replace(b"4\r\n", b"4\r\nContent-Length: 4\r\n"),
        WHOLE.replace(b"4\r\n", b"4\r\nTransfer-Encoding: chunked\r\n"),
        WHOLE.replace(b"200 OK", b"100 Continue"),
        WHOLE.replace(b"HTTP/1.1", b"ICY"),
        WHOLE.replace(b"\r\n", b"\n"),
    ],
)
def test_an_answer_with_a_limit_is_read_as_http_client_reads_it(came: bytes) -> None:
    results: list[object] = []
    for read in (read_by_library, read_by_us):
        here, there = socket.socketpair()
        with here, there:
            there.sendall(came)
            there.close()
            try:
                results.append(read(here, "POST", limit=64))
            except http.client.HTTPException as error:
                results.append(type(error))
    assert results[0] == results[1]
