"""`manage.py alarm`: tests the channels for alarms (docs/alarms.md)."""

from __future__ import annotations

from typing import Any

from core.commands import FAILED, CommandParser, FnloaderCommand
from core.subcommands import Subcommand, SubcommandsCommand

SOME_FAILED = 10


def _arguments(_parser: CommandParser) -> None:
    """None."""


def test(command: FnloaderCommand, _options: dict[str, Any]) -> int:
    """Prints a line for each channel."""
    from core.alarms.channels import all_channels
    from core.alarms.notifications import send_test
    from core.models import AlarmChannel

    AlarmChannel.objects.exists()  # a database without tables is the first thing to report
    channels = all_channels()
    if not channels:
        command.stderr.write(
            "No alarm channel is set up. Set ALARM_MAIL, ALARM_URLS, ALARM_WEBHOOK_URL or ALARM_PING_URL (docs/alarms.md)."
        )
        return FAILED
    failed = False
    for channel in channels:
        error = send_test(channel)
        failed = failed or bool(error)
        command.stdout.write(f"{channel.name}: FAILED: {error}" if error else f"{channel.name}: sent")
    return SOME_FAILED if failed else 0


class Command(SubcommandsCommand):
    """One subcommand, with room for more."""

    help = "Tests the channels for alarms."
    epilog = "exit status: 0 sent; 10 a channel failed; 1 no channel is set up, or no database; 2 invalid argument"
    subcommands = (Subcommand("test", "send one test alarm to each channel that is set up", epilog, _arguments, test),)
