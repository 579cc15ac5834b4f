"""Errors of both stores: a sentence, whatever a store, a proxy or a captive portal answers."""

from __future__ import annotations

from urllib3 import HTTPHeaderDict

from objectstores import oci_errors, s3_errors
from objectstores.answers import Answer
from tests.fuzz.rules import ensure_sentence

STATUSES = (301, 400, 403, 404, 409, 429, 500, 503)


def check(data: bytes) -> None:
    first, _, rest = data.partition(b"\n")
    headers = HTTPHeaderDict(
        {"opc-request-id": first.decode("latin-1"), "x-amz-bucket-region": first.decode("latin-1")}
    )
    answer = Answer(STATUSES[len(data) % len(STATUSES)], headers, rest)
    for error_of in (oci_errors.error_of, s3_errors.error_of):
        error = error_of(answer, "s3://bucket, a name")
        ensure_sentence(str(error))
        assert str(error).startswith("s3://bucket, a name: ")
    code, message = oci_errors.code_and_message(answer)
    assert isinstance(code, str)
    assert isinstance(message, str)
