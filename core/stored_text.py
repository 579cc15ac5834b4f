"""Text from outside as every database stores it: without NUL and lone surrogates, whichever way it came.

PostgreSQL refuses a NUL, every driver a lone surrogate. A header, an answer, an error or a search may hold either, so each value
is looked at where all statements pass: on the connection. Sentences that are too long: `core.fields.MessageField`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with U+FFFD for each NUL and lone surrogate."""
    if text.isascii() and "\0" not in text:
        return text
    return _NOT_STORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def clean_connection(connection: BaseDatabaseWrapper, **_: object) -> None:
    """A receiver of `connection_created`: from now on every statement on this connection has storable texts."""
    if _execute_storable not in connection.execute_wrappers:
        # The first one: those that a block adds and removes are behind it.
        connection.execute_wrappers.insert(0, _execute_storable)


def _execute_storable(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: ANN401, FBT001 - Django's signature
    return execute(sql, _storable_value(params), many, context)


def _storable_value(value: Any) -> Any:  # noqa: ANN401 - any parameter
    if isinstance(value, str):
        return storable(value)
    if type(value) in (list, tuple):
        return type(value)(map(_storable_value, value))
    if type(value) is dict:
        return {name: _storable_value(item) for name, item in value.items()}
    return value
