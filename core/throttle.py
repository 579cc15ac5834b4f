"""What one user may ask for at the same time, so that exports, searches and lists of one leave threads for the others."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

RETRY_AFTER = 5
"""Seconds, while others of the same user's requests are open."""

_lock = threading.Lock()
_open: Counter[int] = Counter()
_begun: dict[int, deque[float]] = {}


def throttle_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: status 429 with Retry-After for too many exports, searches and lists of a user; after the login's.

    It counts in each process by itself: the default has no cache that processes share.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        user = request.user.pk
        if user is None or not _is_expensive(request):
            return get_response(request)
        if wait := _enter(user):
            answer = render(request, "429.html", status=429)
            answer["Retry-After"] = str(wait)
            return answer
        response = None
        try:
            response = get_response(request)
        finally:
            if response is None or not response.streaming:
                _leave(user)
        if response.streaming:
            _call_at_end(response, lambda: _leave(user))
        return response

    return middleware


def _is_expensive(request: HttpRequest) -> bool:
    """Whether it reads more than a page of rows. Lists are not: their pages are bounded, and refresh by themselves."""
    if request.method == "POST":
        return request.path == "/samples/"
    return "export" in request.GET or request.path == "/search/" or request.path.endswith(("/report/", ".csv"))


def _enter(user: int) -> int:
    """Seconds to wait; 0: it was counted, and `_leave` must be called."""
    now = time.monotonic()
    with _lock:
        begun = _begun.setdefault(user, deque())
        while begun and now - begun[0] >= 60:
            begun.popleft()
        if len(begun) >= settings.USER_REQUESTS_A_MINUTE:
            return math.ceil(begun[0] + 60 - now)
        if _open[user] >= settings.USER_REQUESTS_AT_ONCE:
            return RETRY_AFTER
        begun.append(now)
        _open[user] += 1
    return 0


def _leave(user: int) -> None:
    with _lock:
        _open[user] -= 1


def _call_at_end(response: HttpResponse, act: Callable[[], None]) -> None:
    """Calls it once when the server closes the response: all was sent, or the client is gone."""
    close, pending = response.close, [act]

    def closed() -> None:
        close()
        while pending:
            pending.pop()()

    response.close = closed  # type: ignore[method-assign]
