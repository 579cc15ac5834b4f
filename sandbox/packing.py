"""Packs files as other programs do."""

from __future__ import annotations

import struct
import zlib

_BLOCK = 65_280
_EMPTY_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def bgzip(content: bytes) -> bytes:
    """As htslib's bgzip does: gzip members of at most 64 kB that name their own size, and an empty one at the end."""
    blocks = [_block(content[at : at + _BLOCK]) for at in range(0, len(content), _BLOCK)]
    return b"".join(blocks) + _EMPTY_BLOCK


def _block(content: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    packed = deflate.compress(content) + deflate.flush()
    head = bytes.fromhex("1f8b08040000000000ff0600424302 00".replace(" ", ""))
    size = len(head) + 2 + len(packed) + 8
    return head + struct.pack("<H", size - 1) + packed + struct.pack("<II", zlib.crc32(content), len(content))
