"""The error for a response of S3."""

from __future__ import annotations

import html
import re

from objectstores.answers import Answer
from objectstores.base import Archived, Changed, Denied, Misconfigured, StoreError, Unavailable
from objectstores.http import error_for_status, proxy_error

_CODE = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_REGION = re.compile(r"<Region>([^<]*)</Region>")

_ERRORS_BY_CODE: dict[str, type[StoreError]] = {
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
    # Another write of the same key is running, and either may win.
    "ConditionalRequestConflict": Unavailable,
    "OperationAborted": Unavailable,
}
_HINTS = {
    Archived: "; it is archived: restore it first",
    Changed: "; the object exists already, or has changed",
}


def error_of(answer: Answer, where: str) -> StoreError:
    """The error to raise for this response; its text begins with `where`: the store and the object."""
    text = answer.body[:4000].decode(errors="replace")
    code = _first(_CODE, text)
    if not code:
        return proxy_error(answer, where)
    kind = _ERRORS_BY_CODE.get(code) or error_for_status(answer.status)
    hint = _HINTS.get(kind, "")
    if code == "RequestTimeTooSkewed":
        hint = "; correct this machine's clock"
    elif kind is Misconfigured:
        region = answer.headers.get("x-amz-bucket-region") or _first(_REGION, text)
        hint = f"; set AWS_REGION to the bucket's region{', ' + region if region else ''}, and check the endpoint"
    return kind(f"{where}: {answer.status} {code}: {_first(_MESSAGE, text)}{hint}")


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return html.unescape(match[1]) if match else ""
