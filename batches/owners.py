"""Who we are in rows."""

from __future__ import annotations

import getpass
import os
from functools import cache


@cache
def user_name() -> str:
    """The user who runs this process, at most 150 characters."""
    try:
        return getpass.getuser()[:150]
    except (KeyError, OSError):
        return f"uid {os.getuid()}"  # a container need not know a name for its user
