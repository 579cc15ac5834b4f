"""How findNeighbour4 reads forms and words its answers: JSON as text/html, pages of HTML, a connection closed by each."""

import html
import json
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from sandbox.http import RawRequest, Response

_HTML = "text/html; charset=utf-8"
_NOT_FOUND = b'{"error":"Not found (custom error handler for mis-routing)"}\n'


def read_form(request: RawRequest) -> dict[str, bytes]:
    """The fields of a urlencoded body as Flask sees them; none for any other kind of body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" or "content-encoding" in request.headers:
        return {}
    form: dict[str, bytes] = {}
    body, at = request.body, 0
    while at < len(body):
        end = body.find(b"&", at)
        end = len(body) if end < 0 else end
        equals = body.find(b"=", at, end)
        if equals >= 0:
            name = unquote(body[at:equals].decode("latin-1"))
            # One copy, and no more: sequences have millions of letters.
            form.setdefault(name, _plain(bytes(memoryview(body)[equals + 1 : end])))
        at = end + 1
    return form


def _plain(value: bytes) -> bytes:
    value = value.replace(b"+", b" ") if b"+" in value else value
    return unquote_to_bytes(value) if b"%" in value else value


def text(value: bytes) -> str:
    """A field as text."""
    return value.decode(errors="replace")


def answer(status: int, data: Any) -> Response:  # noqa: ANN401 - JSON
    """Data, as JSON that is labelled as HTML."""
    return _closing(status, json.dumps(data).encode(), _HTML)


def page(status: int, reason: str) -> Response:
    """A page of HTML with the reason."""
    title = HTTPStatus(status).phrase
    shown = html.escape(reason).replace("\n", "<br>")
    lines = ["<!doctype html>", "<html lang=en>", f"<title>{status} {title}</title>", f"<h1>{title}</h1>"]
    return _closing(status, "\n".join([*lines, f"<p>{shown}</p>", ""]).encode(), _HTML)


def not_found() -> Response:
    """Every 404, whatever is missing, but that of a sequence."""
    return _closing(404, _NOT_FOUND, "application/json")


def died() -> Response:
    """The process died: a reset connection, and no answer."""
    response = Response(0)
    response.reset = True
    return response


def _closing(status: int, body: bytes, kind: str) -> Response:
    response = Response(status, body, {"content-type": kind})
    response.close = True
    return response
