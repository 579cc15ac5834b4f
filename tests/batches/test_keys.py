"""Keys of the fast import bucket, and whose they are."""

from __future__ import annotations

import base64
import random

import pytest

from batches.keys import InvalidKey, Key, KeyMatcher, batch_of_prefix, decode, digest, encode, is_batch_id, prefix

EXAMPLE = Key("objerr", "/collectionobjects/ec8edd0a-6c13-40e4-87fc-8eb0291535c1", "A67.137.96871", "UPDATE")


def b64(text: str | bytes) -> str:
    return base64.urlsafe_b64encode(text.encode() if isinstance(text, str) else text).decode()


@pytest.mark.parametrize(("bid", "expected"), [("plc", "cGxjf"), ("mat", "bWF0f"), ("a1", "YTF"), ("a1b", "YTFif")])
def test_the_prefix_is_the_one_of_the_old_tool(bid: str, expected: str) -> None:
    assert prefix(bid) == expected
    assert batch_of_prefix(expected) == bid


@pytest.mark.parametrize("text", ["", "a", "plc", "cGxjg", "é", "====", "cGxj"])
def test_what_is_no_prefix_belongs_to_no_batch(text: str) -> None:
    assert batch_of_prefix(text) is None


def test_a_key_is_padded_url_safe_base64_of_its_parts() -> None:
    key = encode(*EXAMPLE)
    assert key == b64("|".join(EXAMPLE))
    assert decode(key) == EXAMPLE
    assert key.startswith("b2JqZXJyf")


@pytest.mark.parametrize("identifier", ["a|b", "|", "é 漢字 🦋", "??>>~~", "x" * 600, " ", "a|CREATE"])
def test_any_identifier_comes_back_as_it_was(identifier: str) -> None:
    key = encode("plc", "/media?blobUri=https%3A%2F%2Fa.b", identifier, "CREATE")
    assert decode(key).identifier == identifier
    assert KeyMatcher("plc").classify(key) == "own"


def test_a_key_over_1024_bytes_is_refused() -> None:
    longest = 768 - len("plc|/p||CREATE")
    assert len(encode("plc", "/p", "x" * longest, "CREATE")) == 1024
    with pytest.raises(InvalidKey, match="1028 bytes"):
        encode("plc", "/p", "x" * (longest + 1), "CREATE")


@pytest.mark.parametrize(
    ("batch", "path", "identifier", "action", "why"),
    [
        ("toolong", "/p", "x", "CREATE", "batch id"),
        ("", "/p", "x", "CREATE", "batch id"),
        ("é", "/p", "x", "CREATE", "batch id"),
        ("a\n", "/p", "x", "CREATE", "batch id"),
        ("plc", "/p|q", "x", "CREATE", "path"),
        ("plc", "", "x", "CREATE", "path"),
        ("plc", "/p", "", "CREATE", "identifier"),
        ("plc", "/p", "\udc80", "CREATE", "UTF-8"),
        ("plc", "/p", "x", "create", "action"),
    ],
)
def test_parts_that_would_not_come_back_make_no_key(
    batch: str, path: str, identifier: str, action: str, why: str
) -> None:
    with pytest.raises(InvalidKey, match=why):
        encode(batch, path, identifier, action)


INVALID = [
    "YTF8____",  # the exact head of `a1|`, and no UTF-8
    "YTF8=",
    "YTF8Yg",  # no padding
    "",
    "a1/x.csv",
    "YTF8é",
    b64("a1|/p|x|CREATE") + "\n",
    b64("a1|/p|x|CREATE").rstrip("="),
    b64("a1|/p|x|CREATE") + "====",
    b64("a1|/p|x|CREATE").replace("U=", "V="),  # another key of the same record: bits that stand for nothing
    b64("a1|/p|xyz|CREATE").replace("Q==", "f=="),
    b64("a1|/p|CREATE"),  # three parts
    b64("a1|/p|x|MERGE"),
    b64("a1|/p|x|create"),
    b64("a1"),
    b64(b"a1|/p|\xff|CREATE"),
    base64.b64encode(b"a1|/p|?>~>?>|CREATE").decode(),  # the alphabet that is not safe in URLs
]


@pytest.mark.parametrize("key", INVALID)
def test_what_is_no_key_belongs_to_nobody(key: str) -> None:
    with pytest.raises(InvalidKey):
        decode(key)
    assert KeyMatcher("a1").classify(key) == "invalid"


@pytest.mark.parametrize(("bid", "other"), [("a1", "a1b"), ("batch", "batcha"), ("q", "qp"), ("a", "A")])
def test_a_neighbour_is_foreign_whatever_its_prefix(bid: str, other: str) -> None:
    for n in range(200):
        assert KeyMatcher(bid).classify(encode(bid, "/p", f"id{n}", "DELETE")) == "own"
        assert KeyMatcher(bid).classify(encode(other, "/p", f"id{n}", "DELETE")) == "foreign"
        assert KeyMatcher(other).classify(encode(bid, "/p", f"id{n}", "DELETE")) == "foreign"


def test_every_key_of_a_batch_begins_with_its_prefix() -> None:
    letters = "abcXYZ019"
    chance = random.Random(4)
    for _ in range(500):
        bid = "".join(chance.choices(letters, k=chance.randint(1, 6)))
        assert is_batch_id(bid)
        assert encode(bid, "/p", "".join(chance.choices("é|~ab", k=5)), "CREATE").startswith(prefix(bid))


def test_membership_and_decoding_agree_on_damaged_keys() -> None:
    chance = random.Random(7)
    for _ in range(3000):
        text = list(encode("a1", "/p|"[:2], "".join(chance.choices("aé|", k=4)), chance.choice(["CREATE", "UPDATE"])))
        for _ in range(chance.randint(0, 2)):
            text[chance.randrange(len(text))] = chance.choice("ABCxyz019-_=+/|é")
        key = "".join(text)
        try:
            expected = "own" if decode(key).batch == "a1" else "foreign"
        except InvalidKey:
            expected = "invalid"
        assert KeyMatcher("a1").classify(key) == expected


def test_a_digest_has_32_letters_and_tells_keys_apart() -> None:
    assert len(digest("a")) == 32
    assert digest("a") != digest("A")
