"""Middleware: characters that nobody sees, and that change what others look like, are written out on every page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

# In UTF-8: control characters, and those that override or isolate the direction of what follows (Unicode Standard Annex 9).
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")


def visible_controls_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    r"""Shows `\u202e` where a name from outside holds that character: the templates of the admin and of libraries know nothing
    of it. Marks of direction that names in Arabic or Hebrew need (U+200E, U+200F) stay."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not response.streaming and response.get("Content-Type", "").startswith("text/html"):
            content: bytes = response.content  # type: ignore[attr-defined]
            if _CONTROLS.search(content):
                response.content = _CONTROLS.sub(_escaped, content)  # type: ignore[attr-defined]
        return response

    return middleware


def _escaped(found: re.Match[bytes]) -> bytes:
    return repr(found[0].decode())[1:-1].encode()
