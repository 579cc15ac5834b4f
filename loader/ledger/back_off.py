"""How long a file waits for its next try: longer after each failure."""

from __future__ import annotations

import random

FIRST_BACK_OFF_SECONDS = 30.0
MAX_BACK_OFF_SECONDS = 24 * 3600.0
JITTER = 0.3


def back_off(tries: int) -> float:
    """Seconds until the next try after `tries` earlier failures and this one: doubling, with jitter, at most a day."""
    return _middle(tries) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter


def longest_back_off(tries: int) -> float:
    """The most seconds that a file with so many tries behind it waits for the next one."""
    return _middle(max(tries - 1, 0)) * (1 + JITTER)


def _middle(tries: int) -> float:
    return float(min(FIRST_BACK_OFF_SECONDS * 2 ** min(tries, 20), MAX_BACK_OFF_SECONDS))
