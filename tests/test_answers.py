"""What each answer to an insert means, row by row of domain.md 2 and traps.md."""

import http.client
import socket

import pytest

from loader.answers import Answer, Meaning
from loader.server import plain_answer

PAGE = b"<html><title>500 Internal Server Error</title><p>%s</p></html>"


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, b'"Guid s1 inserted."', Meaning.DONE),
        (201, b'"Guid s1 is already present"', Meaning.DONE),
        (200, b"<html>Please log in</html>", Meaning.MISCONFIGURED),
        (201, b"{}", Meaning.MISCONFIGURED),
        (409, b'"locked"', Meaning.LOCKED),
        *[(status, b"", Meaning.MISCONFIGURED) for status in (301, 302, 307, 308, 400, 401, 403, 404, 413, 501)],
        (500, PAGE % b"sequence must be of length 29903", Meaning.NEVER),
        (500, PAGE % b"must be of non-zero length", Meaning.NEVER),
        (500, PAGE % b"consist only of ACGTN-. There are 3 invalid characters", Meaning.NEVER),
        (500, PAGE % b"could not connect to the database", Meaning.LATER),
        (503, b"", Meaning.LATER),
        (429, b"", Meaning.LATER),
        (502, b"Bad Gateway", Meaning.UNCLEAR),
        (504, b"", Meaning.UNCLEAR),
        (0, b"", Meaning.UNCLEAR),
    ],
)
def test_the_meaning_of_an_answer(status: int, body: bytes, meaning: Meaning) -> None:
    assert Answer(status, body).meaning is meaning


def test_the_text_of_an_answer_has_no_markup_and_no_sequence() -> None:
    text = Answer(500, PAGE % (b"bad: " + b"ACGT" * 1000 + b" &amp; more")).text
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
        assert plain_answer(came) == Answer(response.status, response.read())


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
    assert plain_answer(came) is None
