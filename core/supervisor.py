"""Runs several programs side by side, restarts those that end, and stops all of them together."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.processes import end_with_parent

POLL_INTERVAL = 0.2
MIN_RESTART_DELAY = 0.5
MAX_RESTART_DELAY = 30.0
STABLE_AFTER = 10.0
"""Seconds; a program that ran longer restarts at once, one that did not restarts later and later."""


@dataclass
class ManagedProcess:
    """A program to keep running."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    delay: float = MIN_RESTART_DELAY
    restart_at: float = 0.0

    @property
    def is_running(self) -> bool:
        """Whether its process is alive."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Starts it in its own session, so that Ctrl-C reaches only this process; on Linux it ends with this process."""
        # This process has no other thread, so a function may run in the child before the program does.
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509
        )
        self.started_at = time.monotonic()

    def restart_if_ended(self, log: Callable[[str], None]) -> None:
        """Logs that it ended, and starts it again when its delay is over."""
        if self.is_running:
            return
        now = time.monotonic()
        if not self.restart_at:
            status = self.process.returncode if self.process else None
            stable = now - self.started_at > STABLE_AFTER
            self.delay = MIN_RESTART_DELAY if stable else min(self.delay * 2, MAX_RESTART_DELAY)
            self.restart_at = now + self.delay
            log(f"{self.name} ended (status {status}). Restarting in {self.delay:g} s.")
        elif now >= self.restart_at:
            self.restart_at = 0.0
            self.start()


def run(
    programs: Sequence[ManagedProcess], stop: Callable[[], bool], log: Callable[[str], None], timeout: float
) -> None:
    """Keeps them running until `stop` returns true, then ends them: SIGTERM, and SIGKILL after `timeout` seconds."""
    for program in programs:
        program.start()
    while not stop():
        for program in programs:
            program.restart_if_ended(log)
        time.sleep(POLL_INTERVAL)
    running = [program.process for program in programs if program.process and program.is_running]
    for process in running:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + timeout
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
