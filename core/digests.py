"""Digests that stand for long names: of fixed length, equal in every database."""

from __future__ import annotations

import hashlib


def digest(*parts: str) -> str:
    """A digest of fixed length for unique constraints; parts are kept apart by NUL, which no name can hold.

    Names that are no Unicode (lone surrogates) have one, too.
    """
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
