"""Names of objects as keys: a key that is decoded is that of its parts, and belongs to one batch or to none."""

from __future__ import annotations

import base64

from batches.keys import (
    DELIMITER,
    InvalidKey,
    KeyMatcher,
    batch_of_prefix,
    comparable,
    decode,
    encode,
    is_batch_id,
    prefix,
)
from tests.fuzz.rules import ensure_line

BATCH = "plc"
MATCHER = KeyMatcher(BATCH)


def check(data: bytes) -> None:
    key = data.decode(errors="surrogateescape")
    _check_text(key)
    # Most bytes are no Base64: as the content of a key they are.
    if len(data) < 700:
        _check_text(base64.urlsafe_b64encode(data).decode())
    bid = batch_of_prefix(key)
    assert bid is None or (is_batch_id(bid) and prefix(bid) == key)
    assert comparable(comparable(key)) == comparable(key)


def _check_text(key: str) -> None:
    owner = MATCHER.classify(key)
    try:
        parts = decode(key)
    except InvalidKey as error:
        assert owner == "invalid", owner
        ensure_line(str(error))
        return
    assert owner == ("own" if parts.batch == BATCH else "foreign"), owner
    assert base64.urlsafe_b64encode(DELIMITER.join(parts).encode()).decode() == key
    try:
        assert encode(*parts) == key
    except InvalidKey:
        assert not (is_batch_id(parts.batch) and parts.path and parts.identifier) or len(key) > 1024
