"""Before all pages: what no browser sends is refused with status 400, before a page or the database meets it."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.http import parse_header_parameters

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CHARSETS = frozenset({"utf-8", "ascii", "iso8859-1"})
"""Charsets of a request, by Python's names. Others (`idna`, `punycode`, `utf-7`) fail on some bytes, or hide text."""

log = logging.getLogger("django.security.Charset")


def refuse_charsets(application: WSGIApplication) -> WSGIApplication:
    """The application behind a check of the request's charset: Django decodes with it before any middleware runs."""

    def checked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        _, parameters = parse_header_parameters(environ.get("CONTENT_TYPE", ""))
        charset = parameters.get("charset", "utf-8")
        try:
            known = codecs.lookup(charset).name in CHARSETS
        except LookupError:
            known = True  # Django takes UTF-8
        except ValueError:
            known = False
        if known:
            return application(environ, start_response)
        log.warning("Refused a request with charset %s", charset)
        start_response("400 Bad Request", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"This charset is not supported. Use UTF-8.\n"]

    return checked


def input_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: refuses too many parameters, and NUL in the path, a header or a cookie: PostgreSQL takes none."""

    def middleware(request: HttpRequest) -> HttpResponse:
        try:
            request.GET  # noqa: B018 - reads it
        except SuspiciousOperation:
            request.GET = QueryDict()
            raise
        headers = (value for value in request.META.values() if isinstance(value, str))
        refuse_nul([request.path, *headers, *request.COOKIES.values()])
        return get_response(request)

    return middleware


def refuse_nul(texts: Iterable[str]) -> None:
    """Raises SuspiciousOperation if one of them holds a NUL."""
    if any("\0" in text for text in texts):
        raise SuspiciousOperation("The request holds a NUL character.")
