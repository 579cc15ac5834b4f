"""The whole site in one command: pages and background jobs, for one machine."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

from core.commands import CommandError, CommandParser, FnloaderCommand

SPARE = 60.0


class Command(FnloaderCommand):
    """Starts gunicorn and qcluster, and keeps both running."""

    help = "Runs the site and its background jobs until told to stop (Ctrl-C or SIGTERM), and restarts what dies."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where people reach it."""
        parser.epilog = "exit status: 0 told to stop; 1 it can't run: a wrong setting, no tables, the address is taken"
        parser.add_argument(
            "--bind", type=_address, default=("127.0.0.1", 8000), metavar="HOST:PORT", help="where (127.0.0.1:8000)"
        )

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Until told to stop."""
        from django.contrib.auth.models import User

        from core.processes import stop_on_signals
        from core.supervisor import ManagedProcess, run

        host, port = options["bind"]
        first = not User.objects.filter(is_active=True).exists()
        _is_free(host, port)
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        environment = {**os.environ, "BIND": shown}
        base = Path(settings.BASE_DIR)
        gunicorn = [sys.executable, "-m", "gunicorn", "--chdir", str(base), "-c", str(base / "gunicorn.conf.py")]
        programs = [
            ManagedProcess("the web server", gunicorn, environment),
            ManagedProcess("the jobs", [sys.executable, str(base / "manage.py"), "qcluster"], environment),
        ]
        self.stdout.write(f"The site is at http://{shown}/ until Ctrl-C.")
        if first:
            self.stdout.write("Nobody can log in yet: run manage.py createsuperuser in another terminal.")
        self.stdout.flush()
        with stop_on_signals() as told:
            run(programs, told.stop, self.stderr.write, settings.FN4_INSERT_DEADLINE + SPARE)
        self.stdout.write("Stopped.")
        return 0


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536 or not host:
        raise argparse.ArgumentTypeError(f"'{text}' is no address: give HOST:PORT, such as 127.0.0.1:8000")
    return host.strip("[]"), int(port)


def _is_free(host: str, port: int) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CommandError(f"{host}:{port} can't be used ({error}). Choose another one: --bind HOST:PORT.") from error
