"""Puts one object of a batch into its store, and says what became of it."""

from __future__ import annotations

from ssl import SSLCertVerificationError
from typing import NamedTuple

from batches.choices import UploadOutcome
from batches.store import key_base
from objectstores.base import Store, StoreError, Unavailable

MAY_BE_INGESTED = (
    "its upload was cut off, and its object is not in the bucket: it may have been ingested, or never sent"
)


class UploadItem(NamedTuple):
    """A record to be sent."""

    pk: int
    row: int
    key: str
    file: str
    uncertain: bool
    """An earlier object of it may have been ingested: only a success ends that."""
    media: bool = False
    """It brings media: it is sent slowly."""


class PutResult(NamedTuple):
    """What became of it."""

    parcel: UploadItem
    outcome: UploadOutcome
    message: str | None = None
    hopeless: bool = False
    """No other object would fare better: stop at once."""


def not_sent(parcel: UploadItem) -> PutResult:
    """It was marked, and not sent; an earlier object of it may still have been ingested."""
    return PutResult(
        parcel, *((UploadOutcome.UNCERTAIN, MAY_BE_INGESTED) if parcel.uncertain else (UploadOutcome.PENDING, None))
    )


def object_exists(store: Store, name: str) -> bool:
    """Whether the object is in the bucket now. Raises StoreError."""
    listed = store.list(name.removeprefix(key_base(store.url)))
    return next((one.name for one in listed), None) == name


def may_have_arrived(error: StoreError) -> bool:
    """Whether the object may be in the bucket although writing it failed: not when no connection came about, nor when the
    store answered that it refuses."""
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

    cause = error.__cause__
    if isinstance(cause, NewConnectionError | ConnectTimeoutError):
        return False
    if isinstance(cause, SSLError) and any(isinstance(one, SSLCertVerificationError) for one in cause.args):
        return False
    if isinstance(cause, HTTPError):
        # It broke on the way, whatever the store makes of it: TLS, too, can fail after all was sent.
        return True
    throttled = " 503 SlowDown" in str(error) or " 429 " in str(error)
    return isinstance(error, Unavailable) and not throttled
