"""What asyncio's servers leave behind when their loop ends with a client still connected."""

from __future__ import annotations

import gc
import warnings


def collect() -> None:
    """Collects it now, without the warning that would otherwise fail whichever test runs when it is collected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
