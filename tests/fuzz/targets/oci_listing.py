"""Pages of a listing of OCI: objects, or a page that is refused."""

from __future__ import annotations

from datetime import datetime

from objectstores.base import Unavailable
from objectstores.oci import page_of
from tests.fuzz.rules import ensure_sentence


def check(data: bytes) -> None:
    try:
        objects, start = page_of(data, "oci://bucket@namespace")
    except Unavailable as error:
        ensure_sentence(str(error))
        return
    assert isinstance(start, str)
    for found in objects:
        assert isinstance(found.name, str)
        assert found.name
        assert type(found.size) is int
        assert found.size >= 0
        assert isinstance(found.etag, str)
        assert found.md5 is None or len(found.md5) == 32
        assert found.created is None or (isinstance(found.created, datetime) and found.created.tzinfo)
        assert isinstance(found.archived, bool)
