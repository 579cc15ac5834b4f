"""The error for a response of S3."""

from __future__ import annotations

import html
import re

from objectstores.answers import Answer
from objectstores.base import Archived, Changed, Denied, Misconfigured, NotFound, StoreError, Unavailable, one_line
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
    # With status 400 of some servers.
    "AccessDenied": Denied,
    "NoSuchBucket": NotFound,
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
_HINTS_BY_CODE = {
    "RequestTimeTooSkewed": "; correct this machine's clock",
    "InvalidAccessKeyId": "; check AWS_ACCESS_KEY_ID, or the profile in AWS_PROFILE",
    "SignatureDoesNotMatch": "; check AWS_SECRET_ACCESS_KEY, or the profile in AWS_PROFILE",
    "ExpiredToken": "; renew AWS_SESSION_TOKEN, or log in again with the profile in AWS_PROFILE",
    "InvalidToken": "; check AWS_SESSION_TOKEN, or the profile in AWS_PROFILE",
}


def error_of(answer: Answer, where: str) -> StoreError:
    """The error to raise for this response; its text begins with `where`: the store and the object."""
    text = answer.body[:4000].decode(errors="replace")
    code = _first(_CODE, text)
    if not code:
        return proxy_error(answer, where)
    kind = _ERRORS_BY_CODE.get(code) or error_for_status(answer.status)
    hint = _HINTS_BY_CODE.get(code) or _HINTS.get(kind, "")
    if not hint and kind is Misconfigured:
        region = answer.headers.get("x-amz-bucket-region") or _first(_REGION, text)
        hint = f"; set AWS_REGION to the bucket's region{', ' + one_line(region) if region else ''}, and check the endpoint"
    return kind(f"{where}: {answer.status} {code}: {_first(_MESSAGE, text)}{hint}")


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return one_line(html.unescape(match[1])) if match else ""
