"""The only place where calls to a store are retried. The SDKs' own retries are off."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_random_exponential

from objectstores.base import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

FIRST_PAUSE = 0.25
"""Maximum seconds before the second attempt; each further pause may be twice as long."""
_MAX_ATTEMPTS = 4
_LAST_START = 9.5
"""Seconds after which no attempt begins, so that a connection that times out (5 s) ends within 15 s of the first."""


def with_retries(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns the result of `call`, retried on Unavailable: at most 4 attempts, with growing random pauses.

    Raises the last Unavailable. Only for calls that may be repeated: never for a write.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(Unavailable),
        wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=4),
        stop=stop_after_attempt(_MAX_ATTEMPTS) | stop_before_delay(_LAST_START),
        reraise=True,
    )
    return retrying(call, *args, **kwargs)
