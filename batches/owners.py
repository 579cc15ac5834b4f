"""Who we are in rows: the user, and this process, so that another one on the same machine can tell whether it lives."""

from __future__ import annotations

import getpass
import os
from functools import cache
from pathlib import Path


@cache
def user_name() -> str:
    """The user who runs this process, at most 150 characters."""
    try:
        return getpass.getuser()[:150]
    except (KeyError, OSError):
        return f"uid {os.getuid()}"  # a container need not know a name for its user


@cache
def this_process() -> str:
    """Boot, process namespace, id and start of this process: no other process ever has the same."""
    return f"{_machine()} {os.getpid()} {_started(os.getpid())}"


def is_dead(process: str) -> bool:
    """True if the process certainly ended: it ran on this very boot and process namespace, and is there no more."""
    machine, _, rest = process.partition(" ")
    pid, _, started = rest.partition(" ")
    return bool(machine) and machine == _machine() and pid.isdigit() and _started(int(pid)) != started


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot + "/" + Path("/proc/self/ns/pid").readlink().name
    except OSError:
        return ""  # not Linux: an owner is known to be dead only by its heartbeat


def _started(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie has ended, though its parent has not yet noticed. Field 3 is the state, field 22 the start (proc(5)).
    return "" if fields[0] in "ZX" else fields[19]
