"""The log: text lines, or JSON for machines, with feed, batch, sample and attempt in every line that concerns them.

They are kept in a context variable of the thread, so that no call has to pass them on (docs/monitoring.md, "Logs").
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from core.formatting import printable
from core.secrets import hide_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

FIELDS = ("feed", "batch", "sample", "attempt", "job")
FIELDS_BY_URL_ARGUMENT = {"name": "feed", "bid": "batch"}
_context: ContextVar[dict[str, str]] = ContextVar("fnloader_log", default={})  # noqa: B039 - never changed, only replaced


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Adds these fields to every line within, and to every event of Sentry."""
    previous = _context.set(_context.get() | {name: str(value) for name, value in fields.items()})
    try:
        yield
    except BaseException as error:
        # An outer handler, such as Sentry or a job, can still log the fields.
        if not hasattr(error, "fnloader_context"):
            error.fnloader_context = _context.get()  # type: ignore[attr-defined]
        raise
    finally:
        _context.reset(previous)


def context_of(error: BaseException | None) -> dict[str, str]:
    """The fields at the place where it was raised, and the current ones."""
    return _context.get() | getattr(error, "fnloader_context", {})


class TextFormatter(logging.Formatter):
    """One line a record, whatever names and answers it holds; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Without a traceback that another formatter has already formatted."""
        record.exc_text = None
        return hide_secrets(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's
        """Escaped."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - logging's
        """Escaped and indented."""
        return "\n".join(f"    {printable(line)}" for line in super().formatException(ei).split("\n"))


class ContextFilter(logging.Filter):
    """Puts the fields on each record: as attributes for JSON, and as `context` for text."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass."""
        fields = context_of(record.exc_info[1] if record.exc_info else None)
        for name in FIELDS:
            setattr(record, name, fields.get(name))
        record.context = "".join(f" {name}={value}" for name, value in fields.items())
        return True


class RefusedRequestFilter(logging.Filter):
    """Makes one line, a warning, of a request that was refused (`Host`, charset, NUL): anybody can send thousands."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass."""
        if record.name.startswith("django.security"):
            record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        return True


class RequestContextMiddleware:
    """Middleware: adds the feed or batch of the page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Fields that are set meanwhile end with the request."""
        with log_context():
            return self.get_response(request)

    def process_view(self, _request: HttpRequest, _view: object, _args: object, kwargs: dict[str, object]) -> None:
        """Reads them from the arguments of the URL."""
        fields = {name: str(kwargs[key]) for key, name in FIELDS_BY_URL_ARGUMENT.items() if key in kwargs}
        _context.set(_context.get() | fields)


def json_formatter() -> logging.Formatter:
    """One JSON object a line; unknown fields are null."""
    from pythonjsonlogger.json import JsonFormatter

    class Formatter(JsonFormatter):
        def format(self, record: logging.LogRecord) -> str:
            return hide_secrets(super().format(record))

    fields = ("levelname", "name", "message", *FIELDS)
    return Formatter(
        " ".join(f"{{{field}}}" for field in fields),
        style="{",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="at",
    )
