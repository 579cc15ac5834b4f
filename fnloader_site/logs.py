"""The log: readable lines, or JSON for machines, with feed, batch, sample and attempt in every line where they are known.

What is known is bound to the thread that works on it, so that no call has to pass it on (docs/operations.md, "Logs").
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FIELDS = ("feed", "batch", "sample", "attempt", "job")
_known: ContextVar[dict[str, str]] = ContextVar("fnloader_log", default={})  # noqa: B039 - never changed, only replaced


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Every line within, and every event that Sentry gets, carries these fields."""
    before = _known.set(_known.get() | {name: str(value) for name, value in fields.items()})
    try:
        yield
    finally:
        _known.reset(before)


def known() -> dict[str, str]:
    """What is bound now."""
    return _known.get()


class Known(logging.Filter):
    """Puts what is bound on each record: as attributes for JSON, and as `known` for lines to read."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass."""
        fields = known()
        for name in FIELDS:
            setattr(record, name, fields.get(name))
        record.known = "".join(f" {name}={value}" for name, value in fields.items())
        return True
