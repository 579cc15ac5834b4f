"""What each answer to an insert means, row by row of domain.md 2 and traps.md."""

from __future__ import annotations

import http.client
import socket

import pytest

from loader.fn4.insert import read_plain_answer
from loader.fn4.responses import InsertResponse, ResponseKind

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
        (500, PAGE % b"sequence must be of length 29903", ResponseKind.NEVER),
        (500, PAGE % b"must be of non-zero length", ResponseKind.NEVER),
        (500, PAGE % b"consist only of ACGTN-. There are 3 invalid characters", ResponseKind.NEVER),
        (500, PAGE % b"could not connect to the database", ResponseKind.LATER),
        (503, b"", ResponseKind.LATER),
        (429, b"", ResponseKind.LATER),
        (502, b"Bad Gateway", ResponseKind.UNCLEAR),
        (504, b"", ResponseKind.UNCLEAR),
        (0, b"", ResponseKind.UNCLEAR),
    ],
)
def test_the_meaning_of_an_answer(status: int, body: bytes, meaning: ResponseKind) -> None:
    assert InsertResponse(status, body).meaning is meaning


def test_the_text_of_an_answer_has_no_markup_and_no_sequence() -> None:
    text = InsertResponse(500, PAGE % (b"bad: " + b"ACGT" * 1000 + b" &amp; more")).text
    assert text == "HTTP 500: bad: […] & more"


WHOLE = b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\ncontent-length: 4\r\nConnection: close\r\n\r\n"in"'


@pytest.mark.parametrize(
    "came",
    [
        WHOLE,
        WHOLE.replace(b"HTTP/1.1 200 OK", b"HTTP/1.0 409"),
        WHOLE.replace(b"4\r\n", b"4 \t\r\n"),
        WHOLE.replace(b'"in"', b"a\r\nb"),
        WHOLE.replace(b"4\r\n", b"0\r\n").replace(b'"in"', b""),
    ],
)
def test_a_plain_answer_is_read_as_http_client_reads_it(came: bytes) -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(came)
        there.close()
        response = http.client.HTTPResponse(here)
        response.begin()
        assert read_plain_answer(came) == InsertResponse(response.status, response.read())


@pytest.mark.parametrize(
    "came",
    [
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
def test_what_is_not_plain_and_whole_is_left_to_http_client(came: bytes) -> None:
    assert read_plain_answer(came) is None
