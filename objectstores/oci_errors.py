"""The error for a response of OCI Object Storage."""

from __future__ import annotations

from objectstores.answers import Answer, from_json
from objectstores.base import Archived, Denied, StoreError, Unavailable, one_line
from objectstores.http import error_for_status, proxy_error

OBJECT_NOT_FOUND = "ObjectNotFound"

_ERRORS_BY_CODE: dict[str, type[StoreError]] = {
    "NotRestored": Archived,
    # The same code for missing and for forbidden: NotFound is only for an object that is certainly gone.
    "NotAuthorizedOrNotFound": Denied,
    "ConcurrentObjectUpdate": Unavailable,
    "IncorrectState": Unavailable,
}
_MAYBE_DENIED = "; OCI responds the same if these credentials lack a permission"
_HINTS = {
    "NotAuthenticated": "; check the key, its fingerprint and this machine's clock",
    "NotAuthorizedOrNotFound": _MAYBE_DENIED,
    "BucketNotFound": _MAYBE_DENIED,
    "NamespaceNotFound": _MAYBE_DENIED,
    "NotRestored": "; it is archived: restore it first",
}


def error_of(answer: Answer, where: str) -> StoreError:
    """The error to raise for this response; its text begins with `where`: the store and the object."""
    code, message = code_and_message(answer)
    if not code:
        return proxy_error(answer, where)
    kind = _ERRORS_BY_CODE.get(code) or error_for_status(answer.status)
    request_id = answer.headers.get("opc-request-id")
    suffix = f" (opc-request-id {one_line(request_id)})" if request_id else ""
    return kind(f"{where}: {answer.status} {one_line(code)}: {one_line(message)}{_HINTS.get(code, '')}{suffix}")


def code_and_message(answer: Answer) -> tuple[str, str]:
    """Code and message of an error; empty if it is not from OCI, but from a proxy."""
    try:
        error = from_json(answer.body)
        return str(error["code"]), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError):
        return "", ""
