"""What an answer of OCI Object Storage that is no success means."""

from __future__ import annotations

import json

from objectstores.answers import Answer
from objectstores.base import Archived, Changed, Denied, Misconfigured, NotFound, StoreError, Unavailable
from objectstores.http import foreign

OBJECT_NOT_FOUND = "ObjectNotFound"

_BY_CODE: dict[str, type[StoreError]] = {
    "NotRestored": Archived,
    # The same words for what is not there and for what we may not see: only an object that surely is gone is NotFound.
    "NotAuthorizedOrNotFound": Denied,
    "ConcurrentObjectUpdate": Unavailable,
    "IncorrectState": Unavailable,
}
_BY_STATUS: dict[int, type[StoreError]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    408: Unavailable,
    412: Changed,
    429: Unavailable,
}
_HIDDEN = "; OCI gives the same answer when these credentials lack a permission"
_HINTS = {
    "NotAuthenticated": "; check the key, its fingerprint and this machine's clock",
    "NotAuthorizedOrNotFound": _HIDDEN,
    "BucketNotFound": _HIDDEN,
    "NamespaceNotFound": _HIDDEN,
    "NotRestored": "; it is archived, and must be restored first",
}


def refusal(answer: Answer, what: str) -> StoreError:
    """The error to raise for this answer, its text beginning with `what`: the store and the object."""
    code, message = code_and_message(answer)
    if not code:
        return foreign(answer, what)
    kind = _BY_CODE.get(code) or _BY_STATUS.get(answer.status) or _by_class(answer.status)
    said = f"{code}: {message}"
    number = answer.headers.get("opc-request-id")
    return kind(
        f"{what}: {answer.status} {said}{_HINTS.get(code, '')}" + (f" (opc-request-id {number})" if number else "")
    )


def code_and_message(answer: Answer) -> tuple[str, str]:
    """What the answer says of itself; empty when it does not come from OCI, but from something between."""
    try:
        error = json.loads(answer.body)
        return str(error["code"]), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError):
        return "", ""


def _by_class(status: int) -> type[StoreError]:
    if status >= 500:
        return Unavailable
    return Misconfigured if 300 <= status < 400 else StoreError
