"""Runs several programs side by side: what dies is started again, and all are stopped in order."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SLICE = 0.2
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
LIVES = 10.0
"""Seconds; what lived so long is started again at once, what did not is started later and later."""
PR_SET_PDEATHSIG = 1


@dataclass
class ManagedProcess:
    """One program that is to run."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    begun: float = 0.0
    wait: float = FIRST_WAIT
    next_at: float = 0.0

    def start(self) -> None:
        """Starts it in a session of its own, so that Ctrl-C reaches only us; on Linux it ends with us, however we end."""
        # No thread runs in this process, so the child may do so much before it becomes the program.
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509
        )
        self.begun = time.monotonic()

    @property
    def runs(self) -> bool:
        """Whether it does."""
        return self.process is not None and self.process.poll() is None


def run(
    programs: Sequence[ManagedProcess], stop: Callable[[], bool], say: Callable[[str], None], patience: float
) -> None:
    """Keeps them running until `stop`, then ends them: SIGTERM, and after `patience` seconds SIGKILL."""
    for program in programs:
        program.start()
    while not stop():
        for program in programs:
            _restart_if_ended(program, say)
        time.sleep(SLICE)
    for program in programs:
        if program.process and program.runs:
            program.process.send_signal(signal.SIGTERM)
    until = time.monotonic() + patience
    for program in programs:
        if program.process:
            _end(program.process, until)


def _restart_if_ended(program: ManagedProcess, say: Callable[[str], None]) -> None:
    if program.runs:
        return
    now = time.monotonic()
    if not program.next_at:
        status = program.process.returncode if program.process else None
        program.wait = FIRST_WAIT if now - program.begun > LIVES else min(program.wait * 2, LONGEST_WAIT)
        program.next_at = now + program.wait
        say(f"{program.name} ended (status {status}); it is started again in {program.wait:g} s.")
    elif now >= program.next_at:
        program.next_at = 0.0
        program.start()


def _end(process: subprocess.Popen[bytes], until: float) -> None:
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
