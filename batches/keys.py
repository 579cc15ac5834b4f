"""Object keys of the fast import bucket, and which of them belong to a batch (domain.md 1, "Object key" and "Batch prefix").

A key is URL-safe Base64 with padding of `batch|path|identifier|ACTION`. The prefix of a batch only narrows a listing, for
it also begins keys of other batches (`a1` and `a1b`): who owns a key is decided by what it says when decoded.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Literal, NamedTuple

DELIMITER = "|"
ACTIONS = ("CREATE", "UPDATE", "DELETE")
LONGEST_KEY = 1024
"""Bytes that the name of an object may have."""

KeyOwner = Literal["own", "foreign", "invalid"]

_BATCH_ID = re.compile(r"[A-Za-z0-9]{1,6}", re.ASCII)
# Strict decoding knows the standard alphabet; its own two letters (+ and /) are not of the URL-safe one.
_TO_STANDARD = bytes.maketrans(b"-_+/", b"+/!!")
_ENDS = tuple(f"{DELIMITER}{action}".encode() for action in ACTIONS)
_DELIMITER = DELIMITER.encode()


class InvalidKey(ValueError):
    """It is no key of the fast import bucket, or none can be made of these parts; the text says why."""


class Key(NamedTuple):
    """What a key says."""

    batch: str
    path: str
    identifier: str
    action: str


def is_batch_id(text: str) -> bool:
    """Whether it may name a batch: 1 to 6 letters and digits."""
    return _BATCH_ID.fullmatch(text) is not None


def encode(batch: str, path: str, identifier: str, action: str) -> str:
    """The key of a record. Raises InvalidKey when decoding would not give these parts back, or it is over 1024 bytes."""
    if not is_batch_id(batch):
        raise InvalidKey(f"{batch!r} is no batch id: 1 to 6 letters and digits")
    if not path or DELIMITER in path:
        raise InvalidKey(f"the path {path!r} is empty or holds {DELIMITER!r}")
    if not identifier:
        raise InvalidKey("the identifier is empty")
    if action not in ACTIONS:
        raise InvalidKey(f"the action {action!r} is none of {', '.join(ACTIONS)}")
    try:
        raw = DELIMITER.join((batch, path, identifier, action)).encode()
    except UnicodeEncodeError as error:
        raise InvalidKey(f"the identifier {identifier!r} can't be written in UTF-8") from error
    key = base64.urlsafe_b64encode(raw).decode()
    if len(key) > LONGEST_KEY:
        raise InvalidKey(
            f"the key has {len(key)} bytes, and {LONGEST_KEY} are allowed: shorten the identifier or the path"
        )
    return key


def decode(key: str) -> Key:
    """What a key says: split at the first two delimiters and the last one, for identifiers may hold them.

    Raises InvalidKey for what is no key: alphabet, padding, UTF-8, four parts, a known action.
    """
    try:
        text = _raw(key).decode()
    except UnicodeDecodeError as error:
        raise InvalidKey(f"{key!r} does not hold UTF-8") from error
    head = text.split(DELIMITER, 2)
    tail = head[-1].rpartition(DELIMITER)
    if len(head) < 3 or not tail[1]:
        raise InvalidKey(f"{key!r} does not hold batch, path, identifier and action")
    if tail[2] not in ACTIONS:
        raise InvalidKey(f"{key!r} names the action {tail[2]!r}, which is none of {', '.join(ACTIONS)}")
    return Key(head[0], head[1], tail[0], tail[2])


def prefix(batch: str) -> str:
    """What all keys of the batch begin with: `plc` gives `cGxjf`. Keys of other batches may begin with it, too."""
    # The last character depends on the bytes that follow.
    return base64.urlsafe_b64encode(f"{batch}{DELIMITER}".encode()).rstrip(b"=")[:-1].decode()


def digest(key: str) -> str:
    """Hexadecimal digest of a key, 32 characters: what unique constraints and look-ups use."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


class KeyMatcher:
    """Says whose a key is; about half a microsecond a key."""

    def __init__(self, batch: str) -> None:
        self.batch = batch
        self._head = f"{batch}{DELIMITER}".encode()

    def classify(self, key: str) -> KeyOwner:
        """`own`: a key of this batch; `foreign`: of another one; `invalid`: `decode` would raise InvalidKey."""
        try:
            raw = binascii.a2b_base64(key.encode("ascii").translate(_TO_STANDARD), strict_mode=True)
        except (binascii.Error, UnicodeEncodeError):
            return "invalid"
        if not raw.endswith(_ENDS) or raw.count(_DELIMITER) < 3 or not (raw.isascii() or _is_utf8(raw)):
            return "invalid"
        return "own" if raw.startswith(self._head) else "foreign"


def _raw(key: str) -> bytes:
    try:
        return binascii.a2b_base64(key.encode("ascii").translate(_TO_STANDARD), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidKey(f"{key!r} is no URL-safe Base64 with padding") from error


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
