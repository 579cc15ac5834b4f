"""Runs manage.py in processes that are forked from one that has the libraries loaded: a third of the time of a fresh one.

Each is a process of its own with its own environment, settings and connections; only the loading of libraries is shared.
What starts, kills or measures processes uses `Manage.start` instead.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
SETTINGS = "fnloader_site.settings"
# They would need the settings, which each process reads for itself.
_OURS = ("batches", "loader", "fnloader_site", "tests", "__main__", "sitecustomize")


class ForkServer:
    """The process that is forked; ends when it is closed."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._ours, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        command = [sys.executable, "-W", "ignore", "-m", "tests.support.fork_server", str(theirs.fileno())]
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[theirs.fileno()])
        theirs.close()

    def run(self, words: tuple[str, ...], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs `manage.py words…` to its end."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            job = json.dumps({"words": words, "environment": environment}).encode()
            socket.send_fds(self._ours, [len(job).to_bytes(4) + job], [out.fileno(), err.fileno()])
            try:
                status = int.from_bytes(self._ours.recv(4), signed=True)
            except BaseException:
                # The answer is still to come (a test that took too long): the next test must not take it for its own.
                self.close()
                self._start()
                raise
            return subprocess.CompletedProcess(list(words), status, _text(out), _text(err))

    def close(self) -> None:
        """Ends it, whatever it is waiting for."""
        self._ours.close()
        self._process.kill()
        self._process.wait()


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _serve(connection: socket.socket) -> None:
    _preload()
    site, environment = None, None
    while True:
        head, fds, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not head:
            return
        job = json.loads(head[4:])
        # Most tests call several commands with the same settings: the second one finds them read, and Django set up.
        if job["environment"] != environment:
            if site:
                site.close()
                os.wait()
            site, environment = _fork_site(job["environment"]), job["environment"]
        if site:
            socket.send_fds(site, [head], fds)
            status = site.recv(4)
        else:
            status = _run_in_fork(job, fds)
        for fd in fds:
            os.close(fd)
        connection.send(status)


def _fork_site(environment: dict[str, str]) -> socket.socket | None:
    """A process with these settings, which forks one for each command; None if they are wrong: each says so itself."""
    ours, theirs = socket.socketpair()
    if os.fork():
        theirs.close()
        if ours.recv(1):
            return ours
        ours.close()
        os.wait()
        return None
    ours.close()
    os.environ.clear()
    os.environ.update(environment)
    try:
        import django

        django.setup()
        from batches.management.commands import batch, ingstat  # noqa: F401 - what most tests call
        from loader.management.commands import feed, fnload  # noqa: F401
    except BaseException:  # noqa: BLE001 - a command is run with these settings, and says what is wrong
        os._exit(1)
    theirs.send(b"1")
    gc.freeze()
    while True:
        head, fds, _, _ = socket.recv_fds(theirs, 1 << 20, 2)
        if not head:
            os._exit(0)
        theirs.send(_run_in_fork(json.loads(head[4:]), fds))
        for fd in fds:
            os.close(fd)


def _run_in_fork(job: dict[str, Any], fds: list[int]) -> bytes:
    pid = os.fork()
    if not pid:
        _run(job["words"], job["environment"], fds)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]).to_bytes(4, signed=True)


def _preload() -> None:
    """Imports what a real command imports, as far as it goes without settings."""
    code = (
        "import os, sys, django; django.setup(); import boto3, botocore.session, botocore.auth, objectstores.s3, tempfile,"
        " objectstores.oci, loader.pipeline.feed_pass;"
        " from batches.management.commands import batch, ingstat; print('\\n'.join(sys.modules))"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": SETTINGS, "SECRET_KEY": "x", "FNLOADER_ENV_FILE": os.devnull}
    found = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    for name in found.stdout.split():
        if not name.startswith(_OURS) and name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    gc.freeze()


def _run(words: list[str], environment: dict[str, str], fds: list[int]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - to its number
        os.dup2(nothing.fileno(), 0)
    os.dup2(fds[0], 1)
    os.dup2(fds[1], 2)
    sys.argv = ["manage.py", *words]
    status = 0
    try:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter itself would
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
