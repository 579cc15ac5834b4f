"""Waiting for processes."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def until(holds: Callable[[], object], what: str, process: subprocess.Popen[str] | None = None) -> None:
    """Waits until something holds; fails after a minute, or when the process has ended."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, f"waited in vain until {what}"
        if process and process.poll() is not None:
            raise AssertionError(f"ended before {what}: {process.communicate()}")
        time.sleep(0.02)


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    """Ends it and returns its exit status and all that it said."""
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err
