"""Errors that nobody thought of: one file must not end the pass of all (design.md, promise 5)."""

from __future__ import annotations

import logging

from django.db import InterfaceError, InternalError, OperationalError, ProgrammingError

from loader.coordination.lease import LeaseLost
from loader.coordination.turn_taking import PassEnded, StopRequested
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from objectstores.base import StoreError

DATABASE_FAILED = (OperationalError, InterfaceError, InternalError, ProgrammingError)
"""Away, full, or not migrated. The other errors of a database are about a value."""
ENDS_PASS = (
    StopRequested,
    PassEnded,
    LeaseLost,
    ServerUnavailable,
    ServerMisconfigured,
    StoreError,
    *DATABASE_FAILED,
)
"""What ends a pass on purpose: no file is the reason. Every other exception is the fault of the file that is worked on."""

log = logging.getLogger("fnloader.loader")


def unexpected(error: Exception, what: str) -> str:
    """A reason to store and show; the log gets the trace. The error's own words may hold parts of a sequence."""
    log.error("%s: unexpected error", what, exc_info=error)
    return f"fnloader failed ({type(error).__name__}): see the log of the loader, and report it"
