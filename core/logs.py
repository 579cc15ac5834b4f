"""The log: readable lines, or JSON for machines, with feed, batch, sample and attempt in every line where they are known.

What is known is bound to the thread that works on it, so that no call has to pass it on (docs/operations.md, "Logs").
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

FIELDS = ("feed", "batch", "sample", "attempt", "job")
IN_URLS = {"name": "feed", "bid": "batch"}
_known: ContextVar[dict[str, str]] = ContextVar("fnloader_log", default={})  # noqa: B039 - never changed, only replaced


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Every line within, and every event that Sentry gets, carries these fields."""
    before = _known.set(_known.get() | {name: str(value) for name, value in fields.items()})
    try:
        yield
    except BaseException as error:
        # Who catches it further out, Sentry or a job, can still say what it was about.
        if not hasattr(error, "fnloader_known"):
            error.fnloader_known = _known.get()  # type: ignore[attr-defined]
        raise
    finally:
        _known.reset(before)


def known_of(error: BaseException | None) -> dict[str, str]:
    """What was bound where it was raised, and what is bound now."""
    return _known.get() | getattr(error, "fnloader_known", {})


def known() -> dict[str, str]:
    """What is bound now."""
    return _known.get()


class ContextFilter(logging.Filter):
    """Puts what is bound on each record: as attributes for JSON, and as `known` for lines to read."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass."""
        fields = known_of(record.exc_info[1] if record.exc_info else None)
        for name in FIELDS:
            setattr(record, name, fields.get(name))
        record.known = "".join(f" {name}={value}" for name, value in fields.items())
        return True


class RequestContextMiddleware:
    """Middleware: binds the feed or batch that a page is about."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """What is bound meanwhile ends with the request."""
        with log_context():
            return self.get_response(request)

    def process_view(self, _request: HttpRequest, _view: object, _args: object, kwargs: dict[str, object]) -> None:
        """Knows them by the names that our URLs have for them."""
        about = {name: str(kwargs[key]) for key, name in IN_URLS.items() if key in kwargs}
        _known.set(_known.get() | about)


def json_formatter() -> logging.Formatter:
    """One JSON object a line; fields that are not known are null."""
    from pythonjsonlogger.json import JsonFormatter

    fields = ("levelname", "name", "message", *FIELDS)
    return JsonFormatter(
        " ".join(f"{{{field}}}" for field in fields),
        style="{",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="at",
    )
