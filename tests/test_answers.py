"""What each answer to an insert means, row by row of domain.md 2 and traps.md."""

import pytest

from loader.answers import Answer, Meaning

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
