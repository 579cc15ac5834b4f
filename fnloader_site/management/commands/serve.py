"""`manage.py serve`: the whole site in one command, pages and background jobs, for one machine."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

from core.commands import CommandError, CommandParser, FnloaderCommand

STOP_MARGIN = 60.0
"""Seconds beyond FN4_INSERT_DEADLINE for a program to stop."""


class Command(FnloaderCommand):
    """Starts gunicorn and qcluster, and keeps both running."""

    help = "Runs the site and its background jobs until Ctrl-C or SIGTERM, and restarts processes that end."

    def add_arguments(self, parser: CommandParser) -> None:
        """The address."""
        parser.epilog = "exit status: 0 stopped; 1 can't run: invalid setting, database not migrated, address in use"
        parser.add_argument(
            "--bind",
            type=_address,
            default=("127.0.0.1", 8000),
            metavar="HOST:PORT",
            help="address to listen on (127.0.0.1:8000)",
        )

    def run(self, **options: Any) -> int:  # noqa: ANN401 - Django's options
        """Runs both until it is stopped."""
        from django.contrib.auth.models import User

        from core.processes import stop_on_signals
        from core.supervisor import ManagedProcess, run

        host, port = options["bind"]
        self.require_migrations()
        has_users = User.objects.filter(is_active=True).exists()
        try:
            family, kind, _, _, listen = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(listen)
        except OSError as error:
            raise CommandError(
                f"Can't listen on {host}:{port} ({error}). Choose another address: --bind HOST:PORT."
            ) from error
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        environment = {**os.environ, "BIND": address}
        base = Path(settings.BASE_DIR)
        gunicorn = [sys.executable, "-m", "gunicorn", "--chdir", str(base), "-c", str(base / "gunicorn.conf.py")]
        programs = [
            ManagedProcess("Web server", gunicorn, environment),
            ManagedProcess("Background jobs", [sys.executable, str(base / "manage.py"), "qcluster"], environment),
        ]
        self.stdout.write(f"Serving at http://{address}/ (Ctrl-C to stop)")
        if not has_users:
            self.stdout.write("No users yet. Add one in another terminal: python manage.py createsuperuser")
        self.stdout.flush()
        with stop_on_signals() as flag:
            run(programs, flag.stop, self.stderr.write, settings.FN4_INSERT_DEADLINE + STOP_MARGIN)
        self.stdout.write("Stopped.")
        return 0


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536 or not host:
        raise argparse.ArgumentTypeError(f"'{text}' is not a valid address; use HOST:PORT such as 127.0.0.1:8000")
    return host.strip("[]"), int(port)
