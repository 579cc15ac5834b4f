"""Whatever parts a key has, they come back from it; whatever a key is, it belongs to one batch or to none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.keys import ACTIONS, InvalidKey, Key, KeyMatcher, decode, encode, is_batch_id, prefix

BIDS = st.from_regex(r"[A-Za-z0-9]{1,6}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
PATHS = TEXTS.filter(lambda text: "|" not in text)


@given(BIDS, PATHS, TEXTS, st.sampled_from(ACTIONS))
def test_parts_come_back_from_their_key(bid: str, path: str, identifier: str, action: str) -> None:
    key = encode(bid, path, identifier, action)
    assert decode(key) == Key(bid, path, identifier, action)
    assert key.startswith(prefix(bid))
    assert KeyMatcher(bid).classify(key) == "own"


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=10))
def test_parts_that_would_not_come_back_make_no_key(bid: str, path: str, identifier: str, action: str) -> None:
    assert not is_batch_id(bid) or len(bid) <= 6
    with pytest.raises(InvalidKey):
        encode(bid, path, identifier, action if action not in ACTIONS else "")


@given(BIDS, st.text(max_size=80) | st.from_regex(r"[A-Za-z0-9_=-]{0,80}", fullmatch=True))
def test_a_key_that_can_not_be_decoded_is_nobodys(bid: str, key: str) -> None:
    try:
        expected = "own" if decode(key).batch == bid else "foreign"
    except InvalidKey:
        expected = "invalid"
    assert KeyMatcher(bid).classify(key) == expected
