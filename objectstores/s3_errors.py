"""What an S3 answer that is no success means."""

from __future__ import annotations

import html
import re

from objectstores.answers import Answer
from objectstores.base import Archived, Changed, Denied, Misconfigured, NotFound, StoreError, Unavailable
from objectstores.http import foreign

_CODE = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_REGION = re.compile(r"<Region>([^<]*)</Region>")

_BY_CODE: dict[str, type[StoreError]] = {
    "InvalidObjectState": Archived,
    "ExpiredToken": Denied,
    "InvalidToken": Denied,
    "InvalidAccessKeyId": Denied,
    "SignatureDoesNotMatch": Denied,
    "RequestTimeTooSkewed": Misconfigured,
    "AuthorizationHeaderMalformed": Misconfigured,
    "IllegalLocationConstraintException": Misconfigured,
    "PermanentRedirect": Misconfigured,
    "TemporaryRedirect": Misconfigured,
    "InternalError": Unavailable,
    "RequestTimeout": Unavailable,
    "ServiceUnavailable": Unavailable,
    "SlowDown": Unavailable,
    # Another write of the same key is under way, so neither is known to win.
    "ConditionalRequestConflict": Unavailable,
    "OperationAborted": Unavailable,
}
_BY_STATUS: dict[int, type[StoreError]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    408: Unavailable,
    412: Changed,
    429: Unavailable,
}
_HINTS = {
    Archived: "it is archived, and must be restored first",
    Changed: "the object is there already, or is another version now",
}


def refusal(answer: Answer, what: str) -> StoreError:
    """The error to raise for this answer, its text beginning with `what`: the store and the object."""
    text = answer.body[:4000].decode(errors="replace")
    code = _first(_CODE, text)
    if not code:
        return foreign(answer, what)
    kind = _BY_CODE.get(code) or _BY_STATUS.get(answer.status) or _by_class(answer.status)
    said = f"{code}: {_first(_MESSAGE, text)}"
    return kind(f"{what}: {answer.status} {said}{_hint(kind, code, answer, text)}")


def _by_class(status: int) -> type[StoreError]:
    if status >= 500:
        return Unavailable
    return Misconfigured if 300 <= status < 400 else StoreError


def _hint(kind: type[StoreError], code: str, answer: Answer, text: str) -> str:
    if code == "RequestTimeTooSkewed":
        return "; set the clock of this machine right"
    if kind is Misconfigured:
        region = answer.headers.get("x-amz-bucket-region") or _first(_REGION, text)
        return f"; set AWS_REGION to the bucket's region{', ' + region if region else ''}, and check the endpoint"
    return f"; {_HINTS[kind]}" if kind in _HINTS else ""


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return html.unescape(found[1]) if found else ""
