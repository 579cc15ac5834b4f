"""Which failures of a PUT leave it open whether the object arrived: only the others may be sent again."""

from __future__ import annotations

import ssl

import pytest
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError, ReadTimeoutError, SSLError

from batches.upload.put import may_have_arrived
from objectstores.base import Denied, Misconfigured, NotFound, StoreError, Unavailable


def because(error: StoreError, cause: Exception | None) -> StoreError:
    error.__cause__ = cause
    return error


def answered(error: StoreError, status: int) -> StoreError:
    error.status = status
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Unavailable("reset"), ProtocolError("Connection aborted.", ConnectionResetError())),
        (Unavailable("slow"), ReadTimeoutError(None, None, "read timed out")),  # type: ignore[arg-type]
        (Unavailable("s3://b, k: 500 InternalError"), None),
        (Unavailable("s3://b, k: 504 no reason given"), None),
        (Misconfigured("no trusted connection"), SSLError(ssl.SSLEOFError("EOF occurred in violation of protocol"))),
    ],
)
def test_it_may_have_arrived(error: StoreError, cause: Exception | None) -> None:
    assert may_have_arrived(because(error, cause))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Unavailable("refused"), NewConnectionError(HTTPConnection("127.0.0.1"), "refused")),
        (Unavailable("away"), ConnectTimeoutError("timed out")),
        (Unavailable("s3://b, k: 503 SlowDown: Please reduce your request rate."), None),
        (Denied("s3://b, k: 403 AccessDenied"), None),
        (NotFound("s3://b: 404 NoSuchBucket"), None),
        (Misconfigured("s3://b: 301 PermanentRedirect"), None),
        (Misconfigured("no trusted connection"), SSLError(ssl.SSLCertVerificationError("self-signed certificate"))),
        (StoreError("file:///x: no space left"), OSError(28, "No space left on device")),
        # Every refusal, whatever its code and whoever it is from.
        (answered(Unavailable("s3://b, k: 400 RequestTimeout"), 400), None),
        (answered(Unavailable("s3://b, k: 409 OperationAborted"), 409), None),
        (answered(Unavailable("s3://b, k: 429 TooManyRequests"), 429), None),
        (answered(Unavailable("s3://b, k: HTTP 413, not from the store"), 413), None),
        (answered(StoreError("s3://b, k: 400 EntityTooLarge"), 400), None),
    ],
)
def test_it_certainly_did_not_arrive(error: StoreError, cause: Exception | None) -> None:
    assert not may_have_arrived(because(error, cause))
