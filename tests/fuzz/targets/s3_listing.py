"""Pages of a listing of S3, whole or only their names: both read the same names, or refuse the page."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from objectstores.base import Unavailable
from objectstores.s3_listing import parse, parse_names
from tests.fuzz.rules import ensure_sentence

MOMENT = datetime(2024, 9, 11, tzinfo=UTC)
ETAG_OF_LINES = re.compile(rb"<ETag>[^<]*\n[^<]*</ETag>")


def check(data: bytes) -> None:
    try:
        names = parse_names(data)
    except Unavailable as error:
        ensure_sentence(str(error))
        names = None
    assert names is None or len(names[0]) == data.count(b"<Contents>")
    try:
        newer = parse_names(data, MOMENT)
    except Unavailable as error:
        ensure_sentence(str(error))
        newer = None
    try:
        page = parse(data)
    except Unavailable as error:
        ensure_sentence(str(error))
        return
    assert names is not None, "the names alone are refused"
    assert [found.name for found in page.objects] == list(names[0])
    assert not ETAG_OF_LINES.search(data), "which ETag is whose is in doubt"
    assert page.token == names[1]
    assert newer is not None, "the times alone are refused"
    assert newer[:2] == names[:2]
    assert newer.newer == [(one.name, one.created) for one in page.objects if one.created and one.created > MOMENT]
    for found in page.objects:
        assert isinstance(found.size, int)
        assert found.size >= 0
        assert isinstance(found.created, datetime)
        assert found.created.tzinfo, "a time without a zone"
        assert isinstance(found.archived, bool)
