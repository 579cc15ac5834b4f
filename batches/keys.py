"""Object keys of the fast import bucket, and which of them belong to a batch (domain.md 1, "Object key" and "Batch prefix").

A key is URL-safe Base64 with padding of `batch|path|identifier|ACTION`. The prefix of a batch only narrows a listing, because
keys of other batches may have it, too (`a1` and `a1b`): only the decoded key tells which batch it belongs to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from typing import Literal, NamedTuple

DELIMITER = "|"
ACTIONS = ("CREATE", "UPDATE", "DELETE")
MAX_KEY_LENGTH = 1024
"""In bytes."""

KeyOwner = Literal["own", "foreign", "invalid"]

_BATCH_ID = re.compile(r"[A-Za-z0-9]{1,6}", re.ASCII)
# Strict decoding needs the standard alphabet, whose two other letters (+ and /) are not URL-safe.
_TO_STANDARD = bytes.maketrans(b"-_+/", b"+/!!")
_ENDS = tuple(f"{DELIMITER}{action}".encode() for action in ACTIONS)
_DELIMITER = DELIMITER.encode()
# Beside format characters: fillers and joiners without a shape (Unicode's Default_Ignorable_Code_Point).
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u180b\u180c\u180d")


class InvalidKey(ValueError):
    """Not a key of the fast import bucket, or these parts can't form one; the text says why."""


class Key(NamedTuple):
    """The parts of a key."""

    batch: str
    path: str
    identifier: str
    action: str


def is_batch_id(text: str) -> bool:
    """Whether the text is a valid batch id: 1 to 6 letters and digits."""
    return _BATCH_ID.fullmatch(text) is not None


def encode(batch: str, path: str, identifier: str, action: str) -> str:
    """The key of a record. Raises InvalidKey if it can't be decoded to the same parts, or is longer than 1024 bytes."""
    if not is_batch_id(batch):
        raise InvalidKey(f"{batch!r} is not a batch id: use 1 to 6 letters and digits")
    if not path or DELIMITER in path:
        raise InvalidKey(f"the path {path!r} is empty or contains {DELIMITER!r}")
    if not identifier:
        raise InvalidKey("the identifier is empty")
    if action not in ACTIONS:
        raise InvalidKey(f"the action {action!r} is not one of {', '.join(ACTIONS)}")
    try:
        raw = DELIMITER.join((batch, path, identifier, action)).encode()
    except UnicodeEncodeError as error:
        raise InvalidKey(f"the identifier {identifier!r} can't be encoded as UTF-8") from error
    key = base64.urlsafe_b64encode(raw).decode()
    if len(key) > MAX_KEY_LENGTH:
        raise InvalidKey(
            f"the key has {len(key)} bytes, at most {MAX_KEY_LENGTH} are allowed: shorten the identifier or the path"
        )
    return key


def decode(key: str) -> Key:
    """The parts of a key: split at the first two delimiters and the last one, because identifiers may contain them.

    Raises InvalidKey unless alphabet, padding, UTF-8, number of parts and action are right. One record has one key: the bits
    that padding leaves unused are zero, as RFC 4648, section 3.5, lets a decoder demand.
    """
    try:
        text = binascii.a2b_base64(key.encode("ascii").translate(_TO_STANDARD), strict_mode=True).decode()
    except UnicodeDecodeError as error:
        raise InvalidKey(f"{key!r} does not contain UTF-8") from error
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidKey(f"{key!r} is not URL-safe Base64 with padding") from error
    if _has_spare_bits(key):
        raise InvalidKey(f"{key!r} has other last bits than the key of the record that it decodes to")
    head = text.split(DELIMITER, 2)
    tail = head[-1].rpartition(DELIMITER)
    if len(head) < 3 or not tail[1]:
        raise InvalidKey(f"{key!r} does not contain batch, path, identifier and action")
    if tail[2] not in ACTIONS:
        raise InvalidKey(f"{key!r} has the action {tail[2]!r}, not one of {', '.join(ACTIONS)}")
    return Key(head[0], head[1], tail[0], tail[2])


def _has_spare_bits(key: str) -> bool:
    """Whether a bit is set that stands for nothing."""
    if not key.endswith("="):
        return False
    return key[-3] not in "AQgw" if key[-2] == "=" else key[-2] not in "AEIMQUYcgkosw048"


def prefix(batch: str) -> str:
    """The common prefix of all keys of the batch: `plc` gives `cGxjf`. Keys of other batches may have it, too."""
    # The last character depends on the bytes that follow.
    return base64.urlsafe_b64encode(f"{batch}{DELIMITER}".encode()).rstrip(b"=")[:-1].decode()


def batch_of_prefix(text: str) -> str | None:
    """The batch id whose prefix the text is; None if there is none."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"A" * (-len(text) % 4), altchars=b"-_")
    except (binascii.Error, UnicodeEncodeError):
        return None
    bid = raw[: len(text) * 6 // 8].split(_DELIMITER)[0].decode("latin-1")
    return bid if is_batch_id(bid) and prefix(bid) == text else None


def digest(key: str) -> str:
    """Hexadecimal digest of a key, 32 characters, for unique constraints and look-ups."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def comparable(text: str) -> str:
    """The text without what people don't see: composed, without invisible characters, with plain spaces, none at its ends.

    Names and identifiers that people take for one are equal in this form. A key keeps its bytes.
    """
    if text.isascii():
        return text.strip()
    visible = (
        letter
        for letter in unicodedata.normalize("NFC", text)
        if not (unicodedata.category(letter) == "Cf" or letter in _INVISIBLE or "\ufe00" <= letter <= "\ufe0f")
    )
    # Once more: letters may compose where something invisible stood between them.
    plain = (" " if unicodedata.category(letter) == "Zs" else letter for letter in visible)
    return unicodedata.normalize("NFC", "".join(plain)).strip()


def comparison_form(identifier: str) -> str | None:
    """`identifier_norm` of a record: what to compare instead of its identifier; None if that is the identifier itself."""
    norm = comparable(identifier)
    return norm if norm != identifier else None


class KeyMatcher:
    """Tells which keys belong to a batch; takes about half a microsecond per key."""

    def __init__(self, batch: str) -> None:
        self.batch = batch
        self._head = f"{batch}{DELIMITER}".encode()

    def classify(self, key: str) -> KeyOwner:
        """`own`: a key of this batch; `foreign`: of another one; `invalid`: `decode` would raise InvalidKey."""
        try:
            raw = binascii.a2b_base64(key.encode("ascii").translate(_TO_STANDARD), strict_mode=True)
            if not raw.isascii():
                raw.decode()
        except (binascii.Error, UnicodeError):
            return "invalid"
        if not raw.endswith(_ENDS) or raw.count(_DELIMITER) < 3 or _has_spare_bits(key):
            return "invalid"
        return "own" if raw.startswith(self._head) else "foreign"
