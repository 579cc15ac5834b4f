"""`manage.py feed`: feeds, and everything an operator does with them. The subcommands are in loader/cli."""

from __future__ import annotations

from core.exceptions import OperationRefused
from core.subcommands import SubcommandsCommand
from loader.cli import feed
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable


class Command(SubcommandsCommand):
    """Each subcommand is one call of its core."""

    help = "Adds, lists, tests, pauses, resumes, compares and removes feeds, and retries rejected files."
    epilog = feed.EXIT_STATUSES
    subcommands = feed.SUBCOMMANDS
    failures = (OperationRefused, ServerUnavailable, ServerMisconfigured)
